-- Releases the savepoint and its statements into the transaction.
RELEASE SAVEPOINT delivery;
