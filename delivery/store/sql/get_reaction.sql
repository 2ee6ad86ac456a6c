SELECT reactions.*, reaction_versions.params, reaction_versions.credentials
FROM delivery.reactions
JOIN delivery.reaction_versions
    ON reaction_versions.reaction_id = reactions.id AND reaction_versions.version = reactions.version
WHERE reactions.id = $1 AND reactions.tenant_id = $2 AND reactions.state <> 'deleted';
