-- Sets a savepoint.
SAVEPOINT delivery;
