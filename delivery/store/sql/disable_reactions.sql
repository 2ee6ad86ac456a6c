-- Disables reactions that are enabled, with a reason each, and moves their tenants' catalogs on.
-- The rows are locked in the order of their ids, so that workers doing the same cannot deadlock.
WITH locked AS MATERIALIZED (
    SELECT reactions.id, given.reason
    FROM delivery.reactions
    JOIN unnest($1::uuid[], $2::text[]) AS given (id, reason) ON given.id = reactions.id
    WHERE reactions.state = 'enabled'
    ORDER BY reactions.id
    FOR UPDATE OF reactions
),
written AS (
    UPDATE delivery.reactions
    SET state = 'disabled', state_reason = locked.reason, updated_at = now()
    FROM locked
    WHERE reactions.id = locked.id
    RETURNING reactions.id, reactions.tenant_id
),
moved AS (
    INSERT INTO delivery.catalogs (tenant_id, version)
    SELECT tenant_id, 1 FROM written GROUP BY tenant_id ORDER BY tenant_id
    ON CONFLICT (tenant_id) DO UPDATE SET version = catalogs.version + 1
)
SELECT id FROM written;
