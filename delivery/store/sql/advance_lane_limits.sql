-- Notes when the next call of each rate-limited lane would be due.
UPDATE delivery.lane_limits
SET next_at = given.next_at
FROM unnest($1::uuid[], $2::float8[]) AS given (lane, next_at)
WHERE lane_limits.lane = given.lane;
