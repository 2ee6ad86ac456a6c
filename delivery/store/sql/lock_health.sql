-- Locks reactions until the end of the transaction and returns the health of their endpoints. Deleted reactions are
-- left out. If the calls were made by an older version, the requests of both versions are returned as stored, so that
-- the caller can compare them.
--
-- $1 reaction_ids uuid[]: reactions
-- $2 versions integer[]: version that made the calls; NULL: any
--
-- The rows are locked in the order of their ids, so that concurrent workers cannot deadlock.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::integer[]) AS given (id, version)
)
SELECT
    reactions.id,
    reactions.tenant_id,
    reactions.name,
    reactions.state,
    health.failures,
    health.failing_since,
    health.throttles,
    health.openings,
    health.paused_until,
    health.early,
    coalesce(given.version = reactions.version, true) AS is_latest,
    called.params AS called_params,
    called.credentials AS called_credentials,
    latest.params AS latest_params,
    latest.credentials AS latest_credentials
FROM delivery.reactions
JOIN given USING (id)
LEFT JOIN delivery.reaction_health AS health ON health.reaction_id = reactions.id
LEFT JOIN delivery.reaction_versions AS called
    ON called.reaction_id = reactions.id AND called.version = given.version AND given.version <> reactions.version
LEFT JOIN delivery.reaction_versions AS latest
    ON latest.reaction_id = reactions.id AND latest.version = reactions.version AND given.version <> reactions.version
WHERE reactions.state <> 'deleted'
ORDER BY reactions.id
FOR NO KEY UPDATE OF reactions;
