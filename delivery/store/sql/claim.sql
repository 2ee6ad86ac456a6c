-- Takes due jobs into one lease: up to a quota from each lane, in their order, and up to $8 in all. It
-- looks no further back in time than the claimer has reason to ($6), which spares it the dead index entries
-- of what was claimed before. Lanes with a limit are left out, unless the claimer holds their limits ($7):
-- each is told of by a last row with nothing but its id.
-- MATERIALIZED keeps LIMIT from being overrun; ctid is safe because the rows are locked and never updated.
-- LATERAL with LIMIT 1 says what statistics of partitioned tables do not: an id finds one row. Without it
-- the planner expects so many that it scans whole partitions, or compiles the plan, which takes longer
-- than running it.
WITH wanted AS MATERIALIZED (
    SELECT
        given.lane, given.priority, given.quota, to_timestamp(given.since) AS since,
        NOT $7::boolean AND EXISTS (
            SELECT FROM delivery.lane_limits WHERE lane_limits.lane = given.lane
        ) AS limited
    FROM unnest($3::uuid[], $4::smallint[], $5::integer[], $6::float8[])
        AS given (lane, priority, quota, since)
),
pick AS MATERIALIZED (
    SELECT waiting.row_address
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT queue.ctid AS row_address
        FROM delivery.queue
        WHERE queue.lane = wanted.lane AND queue.priority = wanted.priority
            AND queue.run_at >= wanted.since AND queue.run_at <= now()
        ORDER BY queue.run_at, queue.job_id
        LIMIT wanted.quota
        FOR UPDATE SKIP LOCKED
    ) AS waiting
    WHERE NOT wanted.limited
    LIMIT $8
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
),
taken AS (
    SELECT
        popped.job_id,
        popped.lane,
        popped.priority,
        popped.claim,
        jobs.trigger_id,
        jobs.reaction_id,
        CASE WHEN reactions.live THEN reactions.version ELSE jobs.reaction_version END AS reaction_version,
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
        reactions.state AS reaction_state,
        extract(epoch FROM popped.run_at)::float8 AS run_at,
        reactions.signing_version,
        extract(epoch FROM jobs.due_at)::float8 AS due_at,
        jobs.failure_kind,
        jobs.error,
        jobs.status_code
    FROM popped
    CROSS JOIN LATERAL (SELECT * FROM delivery.jobs WHERE id = popped.job_id LIMIT 1) AS jobs
    LEFT JOIN LATERAL (
        SELECT * FROM delivery.triggers WHERE id = jobs.trigger_id LIMIT 1
    ) AS triggers ON true
    LEFT JOIN LATERAL (
        SELECT * FROM delivery.direct_jobs WHERE id = popped.job_id AND jobs.reaction_id IS NULL LIMIT 1
    ) AS direct_jobs ON true
    LEFT JOIN LATERAL (
        SELECT * FROM delivery.reactions WHERE id = jobs.reaction_id LIMIT 1
    ) AS reactions ON true
    WHERE popped.claim > jobs.claims
),
slots AS (
    INSERT INTO delivery.held_slots (job_id, lane, claim)
    -- One slot a job, and none for a row with a job that is gone or settled: nobody would free it.
    SELECT DISTINCT ON (job_id) job_id, lane, claim
    FROM taken
    WHERE $7::boolean
    ORDER BY job_id, claim DESC
    ON CONFLICT (job_id) DO UPDATE SET claim = excluded.claim
)
SELECT * FROM taken
UNION ALL
SELECT
    NULL, lane, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM wanted
WHERE limited
ORDER BY run_at, job_id;
