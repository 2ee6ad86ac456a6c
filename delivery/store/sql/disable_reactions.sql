-- Disables the enabled ones among these reactions, and increments the versions of their tenants' catalogs.
--
-- $1 reaction_ids uuid[]: reactions to disable
-- $2 reasons text[]: reason for each
--
-- The rows are locked in the order of their ids, so that concurrent workers cannot deadlock.
WITH locked_reactions AS MATERIALIZED (
    SELECT reactions.id, given.reason
    FROM delivery.reactions
    JOIN unnest($1::uuid[], $2::text[]) AS given (id, reason) ON given.id = reactions.id
    WHERE reactions.state = 'enabled'
    ORDER BY reactions.id
    FOR UPDATE OF reactions
),
disabled_reactions AS (
    UPDATE delivery.reactions
    SET state = 'disabled', state_reason = locked_reactions.reason, updated_at = now()
    FROM locked_reactions
    WHERE reactions.id = locked_reactions.id
    RETURNING reactions.id, reactions.tenant_id
),
new_catalog_versions AS (
    INSERT INTO delivery.catalogs (tenant_id, version)
    SELECT tenant_id, 1 FROM disabled_reactions GROUP BY tenant_id ORDER BY tenant_id
    ON CONFLICT (tenant_id) DO UPDATE SET version = catalogs.version + 1
)
SELECT id FROM disabled_reactions;
