-- Returns a trigger and the ids of its jobs in the order of their reactions.
--
-- $1 trigger_id uuid: the trigger
-- $2 tenant_id text: its tenant
-- $3 first_job uuid: smallest possible id of its jobs
-- $4 last_job uuid: greatest possible id of its jobs
SELECT
    triggers.id,
    triggers.tenant_id,
    triggers.type,
    triggers.payload,
    triggers.created_at,
    ARRAY(
        SELECT jobs.id
        FROM delivery.jobs
        WHERE jobs.id BETWEEN $3 AND $4 AND jobs.trigger_id = $1
        ORDER BY jobs.reaction_id
    ) AS jobs
FROM delivery.triggers
WHERE triggers.id = $1 AND triggers.tenant_id = $2;
