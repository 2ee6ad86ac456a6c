-- Tests a connection.
SELECT 1;
