-- Returns the requests of versions of reactions, and the current signing secrets of the reactions.
--
-- $1 reaction_ids uuid[]: reactions
-- $2 versions integer[]: version of each
SELECT
    reaction_versions.reaction_id,
    reaction_versions.version,
    reaction_versions.params,
    reaction_versions.credentials,
    reactions.signing,
    reactions.name,
    reactions.area_id
FROM delivery.reaction_versions
JOIN delivery.reactions ON reactions.id = reaction_versions.reaction_id
WHERE (reaction_versions.reaction_id, reaction_versions.version) IN (
    SELECT * FROM unnest($1::uuid[], $2::integer[])
);
