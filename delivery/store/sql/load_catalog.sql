-- A tenant's enabled reactions in the order they were made, and the version of the whole. Every value is
-- returned as it is stored; none is read out of a JSON text here, where one that cannot be read would fail all.
-- params is returned only where max_attempts is not in its column.
SELECT
    coalesce((SELECT version FROM delivery.catalogs WHERE tenant_id = $1::text), 0) AS catalog_version,
    reactions.id,
    reactions.version,
    array_to_json(reactions.event_types)::text AS event_types,
    reactions.condition,
    reactions.priority,
    reaction_versions.max_attempts,
    CASE WHEN reaction_versions.max_attempts IS NULL THEN reaction_versions.params END AS params
FROM (VALUES (true)) AS always (present)
LEFT JOIN delivery.reactions ON reactions.tenant_id = $1::text AND reactions.state = 'enabled'
LEFT JOIN delivery.reaction_versions
    ON reaction_versions.reaction_id = reactions.id AND reaction_versions.version = reactions.version
ORDER BY reactions.id;
