-- Own triggers that are still to be written, and in how many seconds each is due. Times are compared as numbers:
-- PostgreSQL before 17 cannot subtract infinite ones, and one such row would fail the whole statement.
SELECT
    type,
    subject,
    reason,
    extract(epoch FROM next_at)::float8 - extract(epoch FROM now())::float8 AS due_in
FROM delivery.untold
ORDER BY next_at
LIMIT $1;
