-- Claims due jobs into one lease: up to a quota from each lane, in order of time. A lane with limits is claimed
-- only if the caller holds its limits; otherwise the lane is returned as a trailing row whose other columns are
-- NULL.
--
-- $1 lease_id uuid: id of the new lease
-- $2 worker_id uuid: holder of the lease
-- $3 lanes uuid[]: lanes to claim from, in the order in which they are served
-- $4 priorities smallint[]: priority within each lane
-- $5 quotas integer[]: maximum number of jobs of each lane
-- $6 since float8[]: earliest due time of each lane, in seconds since the epoch; it lets the scan skip the dead
--    index entries of earlier claims
-- $7 limits_held boolean: true if the transaction of the caller has locked the limits of the lanes
-- $8 max_jobs bigint: maximum number of jobs; NULL: no maximum
--
-- MATERIALIZED ensures that LIMIT is not exceeded. ctid is safe because the rows are locked and never updated.
-- LATERAL with LIMIT 1 says that an id finds one row, which statistics of partitioned tables do not. Otherwise
-- the planner expects so many rows that it scans whole partitions or compiles the plan, which takes longer than
-- running it.
WITH requested_lanes AS MATERIALIZED (
    SELECT
        given.lane, given.priority, given.quota, to_timestamp(given.since) AS since,
        NOT $7::boolean AND EXISTS (
            SELECT FROM delivery.lane_limits WHERE lane_limits.lane = given.lane
        ) AS limited
    FROM unnest($3::uuid[], $4::smallint[], $5::integer[], $6::float8[])
        AS given (lane, priority, quota, since)
),
locked_rows AS MATERIALIZED (
    SELECT due_rows.row_address
    FROM requested_lanes
    CROSS JOIN LATERAL (
        SELECT waiting_jobs.ctid AS row_address
        FROM delivery.waiting_jobs
        WHERE waiting_jobs.lane = requested_lanes.lane AND waiting_jobs.priority = requested_lanes.priority
            AND waiting_jobs.run_at >= requested_lanes.since AND waiting_jobs.run_at <= now()
        ORDER BY waiting_jobs.run_at, waiting_jobs.job_id
        LIMIT requested_lanes.quota
        FOR UPDATE SKIP LOCKED
    ) AS due_rows
    WHERE NOT requested_lanes.limited
    LIMIT $8
),
claimed_rows AS (
    DELETE FROM delivery.waiting_jobs
    WHERE ctid = ANY (ARRAY(SELECT row_address FROM locked_rows))
    RETURNING lane, priority, run_at, job_id, claim
),
new_lease AS (
    INSERT INTO delivery.leases (id, worker_id, job_ids, claims)
    SELECT $1, $2, array_agg(job_id), array_agg(claim)
    FROM claimed_rows
    HAVING count(*) > 0
),
claimed_jobs AS (
    SELECT
        claimed_rows.job_id,
        claimed_rows.lane,
        claimed_rows.priority,
        claimed_rows.claim,
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
        extract(epoch FROM claimed_rows.run_at)::float8 AS run_at,
        reactions.signing_version,
        extract(epoch FROM jobs.due_at)::float8 AS due_at,
        jobs.failure_kind,
        jobs.error,
        jobs.status_code,
        jobs.message_id
    FROM claimed_rows
    CROSS JOIN LATERAL (SELECT * FROM delivery.jobs WHERE id = claimed_rows.job_id LIMIT 1) AS jobs
    LEFT JOIN LATERAL (
        SELECT * FROM delivery.triggers WHERE id = jobs.trigger_id LIMIT 1
    ) AS triggers ON true
    LEFT JOIN LATERAL (
        SELECT * FROM delivery.direct_jobs WHERE id = claimed_rows.job_id AND jobs.reaction_id IS NULL LIMIT 1
    ) AS direct_jobs ON true
    LEFT JOIN LATERAL (
        SELECT * FROM delivery.reactions WHERE id = jobs.reaction_id LIMIT 1
    ) AS reactions ON true
    WHERE claimed_rows.claim > jobs.claims
),
new_slots AS (
    INSERT INTO delivery.held_slots (job_id, lane, claim)
    -- One slot per job, and no slot for a missing or settled job, because no settlement would free it.
    SELECT DISTINCT ON (job_id) job_id, lane, claim
    FROM claimed_jobs
    WHERE $7::boolean
    ORDER BY job_id, claim DESC
    ON CONFLICT (job_id) DO UPDATE SET claim = excluded.claim
)
SELECT * FROM claimed_jobs
UNION ALL
SELECT
    NULL, lane, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM requested_lanes
WHERE limited
ORDER BY run_at, job_id;
