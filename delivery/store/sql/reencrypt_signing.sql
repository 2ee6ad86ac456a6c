-- Replaces signing secrets, unless they have changed since they were read ($2).
UPDATE delivery.reactions
SET signing = given.following, signing_version = signing_version + 1
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS given (id, before, following)
WHERE reactions.id = given.id AND reactions.signing = given.before
RETURNING reactions.id;
