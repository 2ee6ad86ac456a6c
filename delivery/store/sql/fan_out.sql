-- Writes triggers, their jobs and the queue rows, if the producer's copy of the tenant's reactions is
-- current ($2); else writes nothing and says so. run_at NULL means now.
WITH current AS MATERIALIZED (
    SELECT 1
    WHERE coalesce((SELECT version FROM delivery.catalogs WHERE tenant_id = $1), 0) = $2
),
new_triggers AS (
    INSERT INTO delivery.triggers (id, tenant_id, type, payload)
    SELECT id, $1, type, payload
    FROM current, unnest($3::uuid[], $4::text[], $5::bytea[]) AS given (id, type, payload)
),
given_jobs AS (
    SELECT *
    FROM current, unnest(
        $6::uuid[], $7::uuid[], $8::uuid[], $9::integer[], $10::smallint[], $11::smallint[],
        $12::timestamptz[], $13::timestamptz[], $14::text[]
    ) AS given (
        id, trigger_id, reaction_id, reaction_version, priority, max_attempts, run_at, deadline, user_id
    )
),
new_jobs AS (
    INSERT INTO delivery.jobs (
        id, tenant_id, trigger_id, reaction_id, reaction_version, priority, max_attempts, run_at, deadline, user_id
    )
    SELECT
        id, $1, trigger_id, reaction_id, reaction_version, priority, max_attempts,
        coalesce(run_at, now()), deadline, user_id
    FROM given_jobs
),
queued AS (
    INSERT INTO delivery.queue (lane, priority, run_at, job_id, claim)
    SELECT reaction_id, priority, coalesce(run_at, now()), id, 1
    FROM given_jobs
),
notified AS MATERIALIZED (
    SELECT pg_notify('delivery_wake', $15) FROM current WHERE $15::text IS NOT NULL
)
SELECT
    (SELECT count(*) FROM current) = 1 AS written,
    now() AS created_at,
    (SELECT count(*) FROM notified) AS notifications;
