-- How reactions stand that are not deleted, each locked until the end of the transaction, in the order of
-- their ids, so that workers doing the same cannot deadlock; and whether calls by a version ($2; NULL: any) say
-- something about what the reaction calls now. They do not if another request has been made of it since.
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
    coalesce(given.version = reactions.version, true) OR EXISTS (
        SELECT
        FROM delivery.reaction_versions AS called
        JOIN delivery.reaction_versions AS latest USING (reaction_id)
        WHERE reaction_id = reactions.id AND called.version = given.version
            AND latest.version = reactions.version AND called.credentials = latest.credentials
            AND called.params::jsonb - ARRAY['retry', 'concurrency', 'rate_limit', 'ordered', 'live']
                = latest.params::jsonb - ARRAY['retry', 'concurrency', 'rate_limit', 'ordered', 'live']
    ) AS is_about_it
FROM delivery.reactions
JOIN given USING (id)
LEFT JOIN delivery.reaction_health AS health ON health.reaction_id = reactions.id
WHERE reactions.state <> 'deleted'
ORDER BY reactions.id
FOR NO KEY UPDATE OF reactions;
