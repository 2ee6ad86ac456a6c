-- Puts other signing secrets in the place of those of a certain version ($3), for all versions of the reaction.
UPDATE delivery.reactions
SET signing = $4, signing_version = signing_version + 1, updated_at = now()
WHERE id = $1 AND tenant_id = $2 AND signing_version = $3 AND state <> 'deleted'
RETURNING signing_version;
