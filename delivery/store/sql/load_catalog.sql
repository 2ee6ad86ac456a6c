-- A tenant's enabled reactions in the order they were made, and the version of the whole.
SELECT
    coalesce((SELECT version FROM delivery.catalogs WHERE tenant_id = $1), 0) AS catalog_version,
    reactions.id,
    reactions.version,
    reactions.event_types,
    reactions.condition,
    reactions.priority,
    (reaction_versions.params::json #>> '{retry,max_attempts}')::integer AS max_attempts
FROM (VALUES (true)) AS always (present)
LEFT JOIN delivery.reactions ON reactions.tenant_id = $1 AND reactions.state = 'enabled'
LEFT JOIN delivery.reaction_versions
    ON reaction_versions.reaction_id = reactions.id AND reaction_versions.version = reactions.version
ORDER BY reactions.id;
