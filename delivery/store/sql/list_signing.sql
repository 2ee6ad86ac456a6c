-- The next $2 reactions after $1, deleted ones too, with their signing secrets as they are stored.
SELECT id, signing
FROM delivery.reactions
WHERE id > $1
ORDER BY id
LIMIT $2;
