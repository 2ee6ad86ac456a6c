-- Signing secrets belong to the reaction, not to its versions, so that a new one signs what was made before
-- too. What else is secret of a call stays with the version, in `credentials`, and is sealed from now on if
-- there is a key.
ALTER TABLE delivery.reactions
    ADD COLUMN signing text NOT NULL DEFAULT '[]',
    ADD COLUMN signing_version integer NOT NULL DEFAULT 1;

COMMENT ON COLUMN delivery.reactions.signing IS
    'JSON list of the signing secrets, newest first: each secret is sealed, its kind and expiry are not';
COMMENT ON COLUMN delivery.reactions.signing_version IS
    'Grows with every change of signing; workers keep what they made of it by this number';
COMMENT ON COLUMN delivery.reaction_versions.params IS
    'JSON of HttpParams; what is secret in it is ***';
COMMENT ON COLUMN delivery.reaction_versions.credentials IS
    'Sealed JSON: the parts of HttpParams that are concealed in params; {} if none is';

UPDATE delivery.reactions
SET signing = moved.signing
FROM (
    SELECT
        reaction_versions.reaction_id,
        reaction_versions.version,
        json_agg(
            json_build_object('secret', given.secret, 'kind', 'v1', 'public_key', NULL, 'expires_at', NULL)
            ORDER BY given.place
        )::text AS signing
    FROM delivery.reaction_versions
    CROSS JOIN LATERAL json_array_elements_text(reaction_versions.credentials::json -> 'secrets')
        WITH ORDINALITY AS given (secret, place)
    GROUP BY reaction_versions.reaction_id, reaction_versions.version
) AS moved
WHERE moved.reaction_id = reactions.id AND moved.version = reactions.version;

UPDATE delivery.reaction_versions
SET credentials = CASE
    WHEN credentials::json ->> 'client_key' IS NULL THEN '{}'
    ELSE json_build_object('client_key', credentials::json -> 'client_key')::text
END;
