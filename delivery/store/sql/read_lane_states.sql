-- Returns the number of calls in flight and the first waiting job of each limited lane. This is a separate statement
-- because its snapshot must be newer than the claims committed before the limits were locked.
--
-- $1 lanes uuid[]: lanes whose limits are locked
SELECT
    given.lane,
    EXISTS (SELECT FROM delivery.lane_limits WHERE lane_limits.lane = given.lane) AS limited,
    (SELECT count(*) FROM delivery.held_slots WHERE held_slots.lane = given.lane) AS in_flight,
    first_waiting.priority,
    extract(epoch FROM first_waiting.run_at)::float8 - extract(epoch FROM now())::float8 AS due_in,
    extract(epoch FROM clock_timestamp())::float8 AS now
FROM unnest($1::uuid[]) AS given (lane)
LEFT JOIN LATERAL (
    SELECT waiting_jobs.priority, waiting_jobs.run_at
    FROM delivery.waiting_jobs
    WHERE waiting_jobs.lane = given.lane
    ORDER BY waiting_jobs.priority, waiting_jobs.run_at
    LIMIT 1
) AS first_waiting ON true;
