-- Begins a transaction at the isolation level that all statements expect.
BEGIN ISOLATION LEVEL READ COMMITTED;
