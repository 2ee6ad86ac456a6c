-- Returns the enabled reactions of a tenant by creation time, and the version of the catalog. Every value is returned
-- as stored: parsing JSON here would fail the whole statement for one row with invalid JSON.
--
-- $1 tenant_id text: the tenant
SELECT
    coalesce((SELECT version FROM delivery.catalogs WHERE tenant_id = $1::text), 0) AS catalog_version,
    reactions.id,
    reactions.version,
    array_to_json(reactions.event_types)::text AS event_types,
    reactions.condition,
    reactions.priority,
    reaction_versions.max_attempts
FROM (VALUES (true)) AS always (present)
LEFT JOIN delivery.reactions ON reactions.tenant_id = $1::text AND reactions.state = 'enabled'
LEFT JOIN delivery.reaction_versions
    ON reaction_versions.reaction_id = reactions.id AND reaction_versions.version = reactions.version
ORDER BY reactions.id;
