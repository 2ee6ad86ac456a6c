SELECT reactions.*, reaction_versions.params, reaction_versions.credentials
FROM delivery.reactions
JOIN delivery.reaction_versions
    ON reaction_versions.reaction_id = reactions.id AND reaction_versions.version = reactions.version
WHERE reactions.tenant_id = $1
    AND ($2::uuid IS NULL OR reactions.id > $2)
    AND CASE WHEN $3::text IS NULL THEN reactions.state <> 'deleted' ELSE reactions.state = $3 END
ORDER BY reactions.id
LIMIT $4;
