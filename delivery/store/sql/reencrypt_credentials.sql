-- Replaces how versions of reactions are stored; what they mean stays the same.
UPDATE delivery.reaction_versions
SET params = given.params, credentials = given.credentials
FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[]) AS given (id, version, params, credentials)
WHERE reaction_versions.reaction_id = given.id AND reaction_versions.version = given.version
RETURNING given.id;
