-- Writes the health of endpoints whose reactions the transaction has locked. A healthy endpoint has no row. The lane of
-- a failing endpoint is paused in lane_limits, or resumed.
--
-- $1 reaction_ids uuid[]: reactions
-- $2 failures integer[]: consecutive failed calls of each
-- $3 failing_since float8[]: end of the first of these calls, in seconds since the epoch; NULL: none
-- $4 throttles integer[]: consecutive pauses that the endpoint asked for
-- $5 openings integer[]: consecutive openings of the circuit
-- $6 paused_until float8[]: end of the pause, in seconds since the epoch; 0: not paused
-- $7 early integer[]: failures that were the first or second attempt of their job
WITH given AS MATERIALIZED (
    SELECT *, NOT (failures > 0 OR throttles > 0 OR openings > 0) AS healthy, paused_until > 0 OR openings > 0 AS paused
    FROM unnest(
        $1::uuid[], $2::integer[], $3::float8[], $4::integer[], $5::integer[], $6::float8[], $7::integer[]
    ) AS given (reaction_id, failures, failing_since, throttles, openings, paused_until, early)
),
new_health AS (
    INSERT INTO delivery.reaction_health (
        reaction_id, failures, failing_since, throttles, openings, paused_until, early
    )
    SELECT reaction_id, failures, failing_since, throttles, openings, paused_until, early
    FROM given
    WHERE NOT healthy
    ON CONFLICT (reaction_id) DO UPDATE SET
        failures = excluded.failures, failing_since = excluded.failing_since,
        throttles = excluded.throttles, openings = excluded.openings,
        paused_until = excluded.paused_until, early = excluded.early, updated_at = now()
),
deleted_health AS (
    DELETE FROM delivery.reaction_health
    WHERE reaction_id IN (SELECT reaction_id FROM given WHERE healthy)
),
paused_lanes AS (
    INSERT INTO delivery.lane_limits (lane, ordered, paused_until, probing)
    SELECT reaction_id, false, paused_until, openings > 0
    FROM given
    WHERE paused
    ON CONFLICT (lane) DO UPDATE SET
        paused_until = excluded.paused_until, probing = excluded.probing
),
resumed_lanes AS (
    UPDATE delivery.lane_limits
    SET paused_until = 0, probing = false
    WHERE lane IN (SELECT reaction_id FROM given WHERE NOT paused)
        AND (paused_until > 0 OR probing)
        AND (concurrency IS NOT NULL OR rate_limit IS NOT NULL OR ordered)
)
DELETE FROM delivery.lane_limits
WHERE lane IN (SELECT reaction_id FROM given WHERE NOT paused)
    AND concurrency IS NULL AND rate_limit IS NULL AND NOT ordered;
