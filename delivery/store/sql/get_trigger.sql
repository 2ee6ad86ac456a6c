-- A trigger and the ids of its jobs, which lie in one range, in the order of their reactions.
SELECT
    triggers.*,
    ARRAY(
        SELECT jobs.id
        FROM delivery.jobs
        WHERE jobs.id BETWEEN $3 AND $4 AND jobs.trigger_id = $1
        ORDER BY jobs.reaction_id
    ) AS jobs
FROM delivery.triggers
WHERE triggers.id = $1 AND triggers.tenant_id = $2;
