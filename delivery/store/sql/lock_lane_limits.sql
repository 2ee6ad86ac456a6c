-- Locks the limits of lanes until the end of the transaction and returns them. Limits that another claim has locked
-- are left out.
--
-- $1 lanes uuid[]: the lanes
SELECT lane, concurrency, rate_limit, rate_period, ordered, next_at, paused_until, probing
FROM delivery.lane_limits
WHERE lane = ANY ($1::uuid[])
FOR NO KEY UPDATE SKIP LOCKED;
