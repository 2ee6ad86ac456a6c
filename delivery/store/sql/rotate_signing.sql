-- Replaces the signing secrets of a reaction, unless they have changed since they were read.
--
-- $1 reaction_id uuid: the reaction
-- $2 tenant_id text: its tenant
-- $3 read_signing_version integer: version of the secrets that were read
-- $4 signing text: new encrypted secrets
UPDATE delivery.reactions
SET signing = $4, signing_version = signing_version + 1, updated_at = now()
WHERE id = $1 AND tenant_id = $2 AND signing_version = $3 AND state <> 'deleted'
RETURNING signing_version;
