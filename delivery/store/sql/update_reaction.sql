-- Changes a reaction that is still at the version it was read at ($3), as its next version, and moves the
-- tenant's catalog on. Its limits ($13 to $16) hold at once, also for jobs made before, as do its signing
-- secrets, which stay as they are ($17 NULL), or are changed from those of a certain version ($18).
-- That its endpoint was in trouble is forgotten: what is called now may be another.
WITH written AS (
    UPDATE delivery.reactions
    SET
        area_id = $4, name = $5, event_types = $6, condition = $7, priority = $8,
        state = $9, state_reason = $10, version = version + 1, live = $19, updated_at = now(),
        signing = coalesce($17, signing),
        signing_version = CASE WHEN $17::text IS NULL THEN signing_version ELSE signing_version + 1 END
    WHERE id = $1 AND tenant_id = $2 AND version = $3 AND state <> 'deleted'
        AND ($17::text IS NULL OR signing_version = $18::integer)
    RETURNING *
),
moved AS (
    INSERT INTO delivery.catalogs (tenant_id, version)
    SELECT tenant_id, 1 FROM written
    ON CONFLICT (tenant_id) DO UPDATE SET version = catalogs.version + 1
),
versioned AS (
    INSERT INTO delivery.reaction_versions (reaction_id, version, params, credentials, max_attempts)
    SELECT id, version, $11, $12, $20::integer FROM written
    RETURNING params, credentials
),
limited AS (
    INSERT INTO delivery.lane_limits (lane, concurrency, rate_limit, rate_period, ordered)
    SELECT id, $13::integer, $14::integer, $15::float8, $16::boolean
    FROM written
    WHERE $13 IS NOT NULL OR $14 IS NOT NULL OR $16
    ON CONFLICT (lane) DO UPDATE SET
        concurrency = excluded.concurrency, rate_limit = excluded.rate_limit,
        rate_period = excluded.rate_period, ordered = excluded.ordered,
        paused_until = 0, probing = false,
        next_at = CASE
            WHEN (lane_limits.rate_limit, lane_limits.rate_period)
                IS NOT DISTINCT FROM (excluded.rate_limit, excluded.rate_period)
                THEN lane_limits.next_at
            -- What was used up of another rate says nothing about this one.
            ELSE 0
        END
),
healed AS (
    DELETE FROM delivery.reaction_health WHERE reaction_id IN (SELECT id FROM written)
),
unlimited AS (
    DELETE FROM delivery.lane_limits
    WHERE lane IN (SELECT id FROM written) AND $13 IS NULL AND $14 IS NULL AND NOT $16
)
SELECT written.*, versioned.params, versioned.credentials
FROM written, versioned;
