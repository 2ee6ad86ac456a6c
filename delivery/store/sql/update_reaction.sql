-- Changes a reaction that is still at the version it was read at ($3), as its next version, and moves the
-- tenant's catalog on.
WITH written AS (
    UPDATE delivery.reactions
    SET
        area_id = $4, name = $5, event_types = $6, condition = $7, priority = $8,
        state = $9, state_reason = $10, version = version + 1, updated_at = now()
    WHERE id = $1 AND tenant_id = $2 AND version = $3 AND state <> 'deleted'
    RETURNING *
),
moved AS (
    INSERT INTO delivery.catalogs (tenant_id, version)
    SELECT tenant_id, 1 FROM written
    ON CONFLICT (tenant_id) DO UPDATE SET version = catalogs.version + 1
),
versioned AS (
    INSERT INTO delivery.reaction_versions (reaction_id, version, params, credentials)
    SELECT id, version, $11, $12 FROM written
    RETURNING params, credentials
)
SELECT written.*, versioned.params, versioned.credentials
FROM written, versioned;
