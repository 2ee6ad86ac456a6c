-- Returns the content of the job.exhausted trigger of each job, except jobs of excluded event types.
--
-- $1 job_ids uuid[]: exhausted jobs
-- $2 excluded_types text[]: event types whose jobs raise no such trigger
SELECT
    jobs.id AS job_id,
    jobs.tenant_id,
    jobs.reaction_id,
    reactions.name AS reaction_name,
    jobs.trigger_id,
    triggers.type AS trigger_type,
    jobs.user_id,
    jobs.attempt,
    jobs.status_code,
    jobs.failure_kind,
    jobs.error
FROM unnest($1::uuid[]) AS given (id)
CROSS JOIN LATERAL (SELECT * FROM delivery.jobs WHERE id = given.id LIMIT 1) AS jobs
LEFT JOIN LATERAL (SELECT * FROM delivery.triggers WHERE id = jobs.trigger_id LIMIT 1) AS triggers ON true
LEFT JOIN LATERAL (SELECT * FROM delivery.reactions WHERE id = jobs.reaction_id LIMIT 1) AS reactions ON true
WHERE triggers.type IS NULL OR triggers.type <> ALL ($2::text[])
ORDER BY jobs.id;
