"""The only user of asyncpg: what is written to and read from PostgreSQL.

One module a concern, one statement a file in `sql/`. Functions take the pool or a connection and
plain values; they hold no state and decide nothing.
"""
