-- Lists reactions, also deleted ones, with their signing secrets as stored, in the order of their ids.
--
-- $1 after_id uuid: reaction of the cursor
-- $2 max_rows bigint: maximum number of reactions
SELECT id, signing
FROM delivery.reactions
WHERE id > $1
ORDER BY id
LIMIT $2;
