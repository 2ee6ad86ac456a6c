-- Opens a transaction of the isolation that all statements expect.
BEGIN ISOLATION LEVEL READ COMMITTED;
