-- What is sent at certain versions of certain reactions.
SELECT reaction_id, version, params, credentials
FROM delivery.reaction_versions
WHERE (reaction_id, version) IN (SELECT * FROM unnest($1::uuid[], $2::integer[]));
