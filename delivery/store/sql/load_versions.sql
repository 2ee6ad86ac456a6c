-- What is sent at certain versions of certain reactions, and what it is signed with now.
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
