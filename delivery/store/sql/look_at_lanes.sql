-- What a decision about lanes with limits needs: the calls in flight, and the first waiting job. A statement of
-- its own: its snapshot must be newer than the claims that went before the lock.
SELECT
    given.lane,
    EXISTS (SELECT FROM delivery.lane_limits WHERE lane_limits.lane = given.lane) AS limited,
    (SELECT count(*) FROM delivery.held_slots WHERE held_slots.lane = given.lane) AS in_flight,
    first.priority,
    extract(epoch FROM first.run_at)::float8 - extract(epoch FROM now())::float8 AS due_in,
    extract(epoch FROM clock_timestamp())::float8 AS now
FROM unnest($1::uuid[]) AS given (lane)
LEFT JOIN LATERAL (
    SELECT queue.priority, queue.run_at
    FROM delivery.queue
    WHERE queue.lane = given.lane
    ORDER BY queue.priority, queue.run_at
    LIMIT 1
) AS first ON true;
