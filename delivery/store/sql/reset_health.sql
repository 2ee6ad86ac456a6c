-- Deletes the health of a reaction's endpoint and resumes its lane; returns false if there is no such reaction.
--
-- $1 reaction_id uuid: the reaction
-- $2 tenant_id text: its tenant
WITH locked_reaction AS (
    SELECT id FROM delivery.reactions WHERE id = $1 AND tenant_id = $2 AND state <> 'deleted'
    FOR NO KEY UPDATE
),
deleted_health AS (
    DELETE FROM delivery.reaction_health WHERE reaction_id IN (SELECT id FROM locked_reaction)
),
resumed_lane AS (
    UPDATE delivery.lane_limits
    SET paused_until = 0, probing = false
    WHERE lane IN (SELECT id FROM locked_reaction)
        AND (concurrency IS NOT NULL OR rate_limit IS NOT NULL OR ordered)
),
deleted_limits AS (
    DELETE FROM delivery.lane_limits
    WHERE lane IN (SELECT id FROM locked_reaction)
        AND concurrency IS NULL AND rate_limit IS NULL AND NOT ordered
)
SELECT count(*) > 0 FROM locked_reaction;
