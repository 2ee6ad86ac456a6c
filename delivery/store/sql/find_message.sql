-- Finds the newest job that sends a message, and its trigger.
--
-- $1 tenant_id text: tenant of the job
-- $2 message_id uuid: the message
SELECT sending_jobs.id AS job_id, sending_jobs.trigger_id
FROM (
    SELECT id, trigger_id, tenant_id FROM delivery.jobs WHERE id = $2 AND message_id = $2
    UNION ALL
    SELECT id, trigger_id, tenant_id FROM delivery.jobs WHERE message_id = $2 AND message_id <> id
) AS sending_jobs
WHERE sending_jobs.tenant_id = $1
ORDER BY sending_jobs.id DESC
LIMIT 1;
