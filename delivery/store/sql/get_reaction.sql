-- Returns one reaction with the health of its endpoint.
--
-- $1 reaction_id uuid: the reaction
-- $2 tenant_id text: its tenant
SELECT
    reactions.id,
    reactions.tenant_id,
    reactions.area_id,
    reactions.name,
    reactions.event_types,
    reactions.condition,
    reactions.priority,
    reactions.state,
    reactions.state_reason,
    reactions.version,
    reactions.created_at,
    reactions.updated_at,
    reactions.signing,
    reactions.signing_version,
    reactions.metadata,
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
