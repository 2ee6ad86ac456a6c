-- One reaction, and how it stands.
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
WHERE reactions.id = $1 AND reactions.tenant_id = $2 AND reactions.state <> 'deleted';
