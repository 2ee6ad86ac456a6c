-- Lists versions of reactions with their requests as stored, in the order of the primary key.
--
-- $1 after_id uuid: reaction of the cursor
-- $2 after_version integer: version of the cursor
-- $3 max_rows bigint: maximum number of versions
SELECT reaction_id AS id, version, params, credentials
FROM delivery.reaction_versions
WHERE (reaction_id, version) > ($1, $2)
ORDER BY reaction_id, version
LIMIT $3;
