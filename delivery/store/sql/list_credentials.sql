-- The next $3 versions of reactions after version $2 of $1, as they are stored.
SELECT reaction_id AS id, version, params, credentials
FROM delivery.reaction_versions
WHERE (reaction_id, version) > ($1, $2)
ORDER BY reaction_id, version
LIMIT $3;
