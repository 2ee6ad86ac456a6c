-- The names of a tenant's reactions, by id.
SELECT
    id,
    name
FROM delivery.reactions
WHERE id = any($1::uuid[]) AND tenant_id = $2 AND state <> 'deleted';
