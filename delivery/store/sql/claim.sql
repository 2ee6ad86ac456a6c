-- Takes up to a quota of due jobs from each lane into one lease. MATERIALIZED keeps LIMIT from being
-- overrun; ctid is safe because the rows are locked and never updated.
WITH pick AS MATERIALIZED (
    SELECT waiting.row_address
    FROM unnest($3::uuid[], $4::smallint[], $5::integer[]) AS wanted (lane, priority, quota)
    CROSS JOIN LATERAL (
        SELECT queue.ctid AS row_address
        FROM delivery.queue
        WHERE queue.lane = wanted.lane AND queue.priority = wanted.priority AND queue.run_at <= now()
        ORDER BY queue.run_at, queue.job_id
        LIMIT wanted.quota
        FOR UPDATE SKIP LOCKED
    ) AS waiting
),
popped AS (
    DELETE FROM delivery.queue
    WHERE ctid = ANY (ARRAY(SELECT row_address FROM pick))
    RETURNING lane, priority, run_at, job_id, claim
),
lease AS (
    INSERT INTO delivery.leases (id, worker_id, job_ids, claims)
    SELECT $1, $2, array_agg(job_id), array_agg(claim)
    FROM popped
    HAVING count(*) > 0
)
SELECT
    popped.job_id,
    popped.lane,
    popped.priority,
    popped.claim,
    jobs.trigger_id,
    jobs.reaction_id,
    jobs.reaction_version,
    jobs.tenant_id,
    jobs.attempt,
    jobs.uncounted,
    jobs.max_attempts,
    extract(epoch FROM jobs.created_at)::float8 AS created_at,
    extract(epoch FROM jobs.deadline)::float8 AS deadline,
    triggers.type AS event_type,
    coalesce(triggers.payload, direct_jobs.payload) AS payload,
    direct_jobs.params,
    direct_jobs.credentials,
    reactions.state AS reaction_state
FROM popped
JOIN delivery.jobs ON jobs.id = popped.job_id
LEFT JOIN delivery.triggers ON triggers.id = jobs.trigger_id
LEFT JOIN delivery.direct_jobs ON direct_jobs.id = popped.job_id AND jobs.reaction_id IS NULL
LEFT JOIN delivery.reactions ON reactions.id = jobs.reaction_id
ORDER BY popped.run_at, popped.job_id;
