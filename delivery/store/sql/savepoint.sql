-- Marks a place in a transaction to which it can be rolled back alone.
SAVEPOINT delivery;
