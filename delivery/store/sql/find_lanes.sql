-- The lanes with waiting jobs, each priority apart, after a cursor, with the time their first job is due:
-- a loose index scan, one descent a row, whatever the number of jobs. Times are compared as numbers: PostgreSQL
-- before 17 cannot subtract infinite ones, and one such row would fail the whole statement.
WITH RECURSIVE found AS (
    (
        SELECT lane, priority, run_at
        FROM delivery.queue
        WHERE (lane, priority) > ($1::uuid, $2::smallint)
        ORDER BY lane, priority, run_at
        LIMIT 1
    )
    UNION ALL
    SELECT following.lane, following.priority, following.run_at
    FROM found CROSS JOIN LATERAL (
        SELECT queue.lane, queue.priority, queue.run_at
        FROM delivery.queue
        WHERE (queue.lane, queue.priority) > (found.lane, found.priority)
        ORDER BY queue.lane, queue.priority, queue.run_at
        LIMIT 1
    ) AS following
)
SELECT
    lane,
    priority,
    extract(epoch FROM run_at)::float8 - extract(epoch FROM now())::float8 AS due_in,
    extract(epoch FROM run_at)::float8 AS run_at
FROM found
LIMIT $3;
