-- Writes how reactions stand that the transaction has locked: those in trouble, of which some are held back
-- like lanes at their limit, and those that are well again ($1 to $7, one each).
WITH given AS MATERIALIZED (
    SELECT *, NOT (failures > 0 OR throttles > 0 OR openings > 0) AS well, paused_until > 0 OR openings > 0 AS held
    FROM unnest(
        $1::uuid[], $2::integer[], $3::float8[], $4::integer[], $5::integer[], $6::float8[], $7::integer[]
    ) AS given (reaction_id, failures, failing_since, throttles, openings, paused_until, early)
),
troubled AS (
    INSERT INTO delivery.reaction_health (
        reaction_id, failures, failing_since, throttles, openings, paused_until, early
    )
    SELECT reaction_id, failures, failing_since, throttles, openings, paused_until, early
    FROM given
    WHERE NOT well
    ON CONFLICT (reaction_id) DO UPDATE SET
        failures = excluded.failures, failing_since = excluded.failing_since,
        throttles = excluded.throttles, openings = excluded.openings,
        paused_until = excluded.paused_until, early = excluded.early, updated_at = now()
),
healed AS (
    DELETE FROM delivery.reaction_health
    WHERE reaction_id IN (SELECT reaction_id FROM given WHERE well)
),
held_back AS (
    INSERT INTO delivery.lane_limits (lane, ordered, paused_until, probing)
    SELECT reaction_id, false, paused_until, openings > 0
    FROM given
    WHERE held
    ON CONFLICT (lane) DO UPDATE SET
        paused_until = excluded.paused_until, probing = excluded.probing
),
let_go AS (
    UPDATE delivery.lane_limits
    SET paused_until = 0, probing = false
    WHERE lane IN (SELECT reaction_id FROM given WHERE NOT held)
        AND (paused_until > 0 OR probing)
        AND (concurrency IS NOT NULL OR rate_limit IS NOT NULL OR ordered)
)
DELETE FROM delivery.lane_limits
WHERE lane IN (SELECT reaction_id FROM given WHERE NOT held)
    AND concurrency IS NULL AND rate_limit IS NULL AND NOT ordered;
