-- Replaces the stored form of the requests of versions of reactions; the requests remain the same.
--
-- $1 reaction_ids uuid[]: reactions
-- $2 versions integer[]: version of each
-- $3 params text[]: JSON of each request, without secrets
-- $4 credentials text[]: encrypted secrets of each request
UPDATE delivery.reaction_versions
SET params = given.params, credentials = given.credentials
FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[]) AS given (id, version, params, credentials)
WHERE reaction_versions.reaction_id = given.id AND reaction_versions.version = given.version
RETURNING given.id;
