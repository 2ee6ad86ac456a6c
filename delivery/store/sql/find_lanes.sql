-- Returns the lanes with waiting jobs after a cursor, one row per lane and priority, with the due time of the first
-- job: a loose index scan, one descent per row for any number of jobs.
--
-- $1 after_lane uuid: lane of the cursor
-- $2 after_priority smallint: priority of the cursor
-- $3 max_rows bigint: maximum number of rows
--
-- Times are subtracted as numbers: PostgreSQL before 17 cannot subtract infinite timestamps, and one such row would
-- fail the whole statement.
WITH RECURSIVE lane_heads AS (
    (
        SELECT lane, priority, run_at
        FROM delivery.waiting_jobs
        WHERE (lane, priority) > ($1::uuid, $2::smallint)
        ORDER BY lane, priority, run_at
        LIMIT 1
    )
    UNION ALL
    SELECT next_head.lane, next_head.priority, next_head.run_at
    FROM lane_heads CROSS JOIN LATERAL (
        SELECT waiting_jobs.lane, waiting_jobs.priority, waiting_jobs.run_at
        FROM delivery.waiting_jobs
        WHERE (waiting_jobs.lane, waiting_jobs.priority) > (lane_heads.lane, lane_heads.priority)
        ORDER BY waiting_jobs.lane, waiting_jobs.priority, waiting_jobs.run_at
        LIMIT 1
    ) AS next_head
)
SELECT
    lane,
    priority,
    extract(epoch FROM run_at)::float8 - extract(epoch FROM now())::float8 AS due_in,
    extract(epoch FROM run_at)::float8 AS run_at
FROM lane_heads
LIMIT $3;
