-- Marks a reaction as deleted. It takes no further part in fan-out, and its waiting jobs are skipped when due.
--
-- $1 reaction_id uuid: the reaction
-- $2 tenant_id text: its tenant
WITH deleted_reaction AS (
    UPDATE delivery.reactions
    SET state = 'deleted', state_reason = NULL, updated_at = now()
    WHERE id = $1 AND tenant_id = $2 AND state <> 'deleted'
    RETURNING id, tenant_id
),
deleted_limits AS (
    DELETE FROM delivery.lane_limits WHERE lane IN (SELECT id FROM deleted_reaction)
),
deleted_health AS (
    DELETE FROM delivery.reaction_health WHERE reaction_id IN (SELECT id FROM deleted_reaction)
),
new_catalog_version AS (
    INSERT INTO delivery.catalogs (tenant_id, version)
    SELECT tenant_id, 1 FROM deleted_reaction
    ON CONFLICT (tenant_id) DO UPDATE SET version = catalogs.version + 1
)
SELECT count(*) AS deleted FROM deleted_reaction;
