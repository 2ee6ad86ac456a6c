-- Rolls back the statements since the savepoint; the transaction continues.
ROLLBACK TO SAVEPOINT delivery;
