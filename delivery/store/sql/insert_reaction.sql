-- Writes a new reaction and its first version, and moves the tenant's catalog on.
WITH moved AS (
    INSERT INTO delivery.catalogs (tenant_id, version)
    VALUES ($2, 1)
    ON CONFLICT (tenant_id) DO UPDATE SET version = catalogs.version + 1
),
written AS (
    INSERT INTO delivery.reactions (
        id, tenant_id, area_id, name, event_types, condition, priority, state, version
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, 'enabled', 1)
    RETURNING *
),
versioned AS (
    INSERT INTO delivery.reaction_versions (reaction_id, version, params, credentials)
    SELECT id, version, $8, $9 FROM written
    RETURNING params, credentials
)
SELECT written.*, versioned.params, versioned.credentials
FROM written, versioned;
