-- Stores the time of the next call of each rate-limited lane.
--
-- $1 lanes uuid[]: lanes with a rate limit
-- $2 next_times float8[]: time of the next call of each, in seconds since the epoch
UPDATE delivery.lane_limits
SET next_at = given.next_at
FROM unnest($1::uuid[], $2::float8[]) AS given (lane, next_at)
WHERE lane_limits.lane = given.lane;
