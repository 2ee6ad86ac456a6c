-- Commits the transaction.
COMMIT;
