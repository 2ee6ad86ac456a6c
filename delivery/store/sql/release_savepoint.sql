-- Keeps the statements since the savepoint.
RELEASE SAVEPOINT delivery;
