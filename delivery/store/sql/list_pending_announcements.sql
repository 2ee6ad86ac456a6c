-- Lists the announcements that are due first, with the number of seconds until each is due.
--
-- $1 max_rows bigint: maximum number of announcements
--
-- Times are subtracted as numbers: PostgreSQL before 17 cannot subtract infinite timestamps, and one such row would
-- fail the whole statement.
SELECT
    type,
    subject,
    reason,
    extract(epoch FROM next_at)::float8 - extract(epoch FROM now())::float8 AS due_in
FROM delivery.pending_announcements
ORDER BY next_at
LIMIT $1;
