-- Forgets that a reaction's endpoint was in trouble; gives whether there is such a reaction.
WITH found AS (
    SELECT id FROM delivery.reactions WHERE id = $1 AND tenant_id = $2 AND state <> 'deleted'
    FOR NO KEY UPDATE
),
healed AS (
    DELETE FROM delivery.reaction_health WHERE reaction_id IN (SELECT id FROM found)
),
let_go AS (
    UPDATE delivery.lane_limits
    SET paused_until = 0, probing = false
    WHERE lane IN (SELECT id FROM found) AND (concurrency IS NOT NULL OR rate_limit IS NOT NULL OR ordered)
),
unlimited AS (
    DELETE FROM delivery.lane_limits
    WHERE lane IN (SELECT id FROM found) AND concurrency IS NULL AND rate_limit IS NULL AND NOT ordered
)
SELECT count(*) > 0 FROM found;
