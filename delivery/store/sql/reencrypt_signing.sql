-- Replaces the stored form of signing secrets, unless they have changed since they were read.
--
-- $1 reaction_ids uuid[]: reactions
-- $2 read_signing text[]: stored secrets that were read
-- $3 new_signing text[]: secrets encrypted with the current key
UPDATE delivery.reactions
SET signing = given.new_signing, signing_version = signing_version + 1
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS given (id, read_signing, new_signing)
WHERE reactions.id = given.id AND reactions.signing = given.read_signing
RETURNING reactions.id;
