-- Reactions in the order they were made, and how they stand.
SELECT
    reactions.*,
    reaction_versions.params,
    reaction_versions.credentials,
    health.failures,
    to_timestamp(health.failing_since) AS failing_since,
    CASE WHEN health.paused_until > 0 THEN to_timestamp(health.paused_until) END AS paused_until,
    health.openings,
    health.paused_until <= extract(epoch FROM now()) AS pause_is_over
FROM delivery.reactions
JOIN delivery.reaction_versions
    ON reaction_versions.reaction_id = reactions.id AND reaction_versions.version = reactions.version
LEFT JOIN delivery.reaction_health AS health ON health.reaction_id = reactions.id
WHERE reactions.tenant_id = $1
    AND ($2::uuid IS NULL OR reactions.id > $2)
    AND CASE WHEN $3::text IS NULL THEN reactions.state <> 'deleted' ELSE reactions.state = $3 END
ORDER BY reactions.id
LIMIT $4;
