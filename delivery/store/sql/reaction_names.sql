-- Returns the names of reactions, except deleted ones.
--
-- $1 reaction_ids uuid[]: reactions
-- $2 tenant_id text: their tenant
SELECT
    id,
    name
FROM delivery.reactions
WHERE id = any($1::uuid[]) AND tenant_id = $2 AND state <> 'deleted';
