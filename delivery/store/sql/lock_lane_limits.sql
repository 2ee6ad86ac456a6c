-- The limits of lanes, locked until the end of the transaction; those that another claimer has locked
-- are left out.
SELECT lane, concurrency, rate_limit, rate_period, ordered, next_at, paused_until, probing
FROM delivery.lane_limits
WHERE lane = ANY ($1::uuid[])
FOR NO KEY UPDATE SKIP LOCKED;
