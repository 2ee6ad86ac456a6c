-- Shows whether a connection still works.
SELECT 1;
