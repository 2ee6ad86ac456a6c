-- Takes a reaction out of fan-out for good; its waiting jobs are skipped when they come up.
WITH written AS (
    UPDATE delivery.reactions
    SET state = 'deleted', state_reason = NULL, updated_at = now()
    WHERE id = $1 AND tenant_id = $2 AND state <> 'deleted'
    RETURNING id, tenant_id
),
unlimited AS (
    DELETE FROM delivery.lane_limits WHERE lane IN (SELECT id FROM written)
),
healed AS (
    DELETE FROM delivery.reaction_health WHERE reaction_id IN (SELECT id FROM written)
),
moved AS (
    INSERT INTO delivery.catalogs (tenant_id, version)
    SELECT tenant_id, 1 FROM written
    ON CONFLICT (tenant_id) DO UPDATE SET version = catalogs.version + 1
)
SELECT count(*) AS deleted FROM written;
