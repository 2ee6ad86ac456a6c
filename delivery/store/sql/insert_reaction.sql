-- Writes a new reaction, its first version and its limits ($10 to $13), if it has any, and moves the
-- tenant's catalog on. $14 are its signing secrets.
WITH moved AS (
    INSERT INTO delivery.catalogs (tenant_id, version)
    VALUES ($2, 1)
    ON CONFLICT (tenant_id) DO UPDATE SET version = catalogs.version + 1
),
written AS (
    INSERT INTO delivery.reactions (
        id, tenant_id, area_id, name, event_types, condition, priority, state, version, signing, live
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, 'enabled', 1, $14, $15)
    RETURNING *
),
versioned AS (
    INSERT INTO delivery.reaction_versions (reaction_id, version, params, credentials, max_attempts)
    SELECT id, version, $8, $9, $16::integer FROM written
    RETURNING params, credentials
),
limited AS (
    INSERT INTO delivery.lane_limits (lane, concurrency, rate_limit, rate_period, ordered)
    SELECT id, $10::integer, $11::integer, $12::float8, $13::boolean
    FROM written
    WHERE $10 IS NOT NULL OR $11 IS NOT NULL OR $13
)
SELECT written.*, versioned.params, versioned.credentials
FROM written, versioned;
