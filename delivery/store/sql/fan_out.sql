-- Writes triggers, their jobs and the queue rows, if the producer's copy of the tenant's reactions is
-- current ($2); else writes nothing. run_at NULL means now. Returns the time of creation in microseconds since
-- the epoch, or NULL where nothing was written: one number, which any session's codecs leave as it is.
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
        id, tenant_id, trigger_id, reaction_id, reaction_version, priority, max_attempts, run_at, due_at, deadline,
        user_id
    )
    SELECT
        id, $1, trigger_id, reaction_id, reaction_version, priority, max_attempts,
        coalesce(run_at, now()), run_at, deadline, user_id
    FROM given_jobs
),
queued AS (
    INSERT INTO delivery.queue (lane, priority, run_at, job_id, claim)
    SELECT reaction_id, priority, coalesce(run_at, now()), id, 1
    FROM given_jobs
)
SELECT CASE WHEN (SELECT count(*) FROM current) = 1
    THEN (extract(epoch FROM now()) * 1000000)::bigint
END AS created_at;
