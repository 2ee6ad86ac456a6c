-- Own triggers that are still to be written, and in how many seconds each is due.
SELECT type, subject, reason, extract(epoch FROM next_at - now())::float8 AS due_in
FROM delivery.untold
ORDER BY next_at
LIMIT $1;
