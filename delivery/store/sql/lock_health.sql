-- How reactions stand that are not deleted, each locked until the end of the transaction, in the order of
-- their ids, so that workers doing the same cannot deadlock.
SELECT
    reactions.id,
    reactions.tenant_id,
    reactions.name,
    reactions.state,
    health.failures,
    health.failing_since,
    health.throttles,
    health.openings,
    health.paused_until
FROM delivery.reactions
LEFT JOIN delivery.reaction_health AS health ON health.reaction_id = reactions.id
WHERE reactions.id = ANY ($1::uuid[]) AND reactions.state <> 'deleted'
ORDER BY reactions.id
FOR NO KEY UPDATE OF reactions;
