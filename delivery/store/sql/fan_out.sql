-- Writes triggers, their jobs and the waiting rows of the jobs, if the producer's copy of the tenant's reactions is
-- current. Returns the creation time in microseconds since the epoch, or NULL if nothing was written: one number,
-- which the codecs of any session leave unchanged.
--
-- $1 tenant_id text: tenant of all rows
-- $2 catalog_version bigint: version of the producer's copy of the reactions
-- $3 trigger_ids uuid[]: ids of the triggers
-- $4 event_types text[]: event type of each trigger
-- $5 payloads bytea[]: payload of each trigger, as stored
-- $6 job_ids uuid[]: ids of the jobs
-- $7 job_triggers uuid[]: trigger of each job
-- $8 reaction_ids uuid[]: reaction of each job
-- $9 reaction_versions integer[]: version of the reaction
-- $10 priorities smallint[]: priority of each job within its lane
-- $11 max_attempts smallint[]: maximum number of attempts of each job
-- $12 run_times timestamptz[]: time of the first attempt; NULL: now
-- $13 deadlines timestamptz[]: latest start of an attempt; NULL: none
-- $14 user_ids text[]: user of each job, for the use of the caller; NULL: none
WITH unchanged_catalog AS MATERIALIZED (
    SELECT 1
    WHERE coalesce((SELECT version FROM delivery.catalogs WHERE tenant_id = $1::text), 0) = $2::bigint
),
new_triggers AS (
    INSERT INTO delivery.triggers (id, tenant_id, type, payload)
    SELECT id, $1::text, type, payload
    FROM unchanged_catalog, unnest($3::uuid[], $4::text[], $5::bytea[]) AS given (id, type, payload)
),
given_jobs AS (
    SELECT *
    FROM unchanged_catalog, unnest(
        $6::uuid[], $7::uuid[], $8::uuid[], $9::integer[], $10::smallint[], $11::smallint[],
        $12::timestamptz[], $13::timestamptz[], $14::text[]
    ) AS given (
        id, trigger_id, reaction_id, reaction_version, priority, max_attempts, run_at, deadline, user_id
    )
),
new_jobs AS (
    INSERT INTO delivery.jobs (
        id, message_id, tenant_id, trigger_id, reaction_id, reaction_version, priority, max_attempts, run_at, due_at,
        deadline, user_id
    )
    SELECT
        id, id, $1::text, trigger_id, reaction_id, reaction_version, priority, max_attempts,
        coalesce(run_at, now()), run_at, deadline, user_id
    FROM given_jobs
),
new_waiting_jobs AS (
    INSERT INTO delivery.waiting_jobs (lane, priority, run_at, job_id, claim)
    SELECT reaction_id, priority, coalesce(run_at, now()), id, 1
    FROM given_jobs
)
SELECT CASE WHEN (SELECT count(*) FROM unchanged_catalog) = 1
    THEN (extract(epoch FROM now()) * 1000000)::bigint
END AS created_at;
