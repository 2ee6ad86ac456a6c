-- Undoes the statements since the savepoint; the transaction goes on.
ROLLBACK TO SAVEPOINT delivery;
