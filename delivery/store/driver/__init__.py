"""Sessions, pool, transactions and errors of the PostgreSQL driver."""
