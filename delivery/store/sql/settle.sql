-- Writes the results of a batch of claimed jobs: a log row for every attempt, and for jobs whose lease still exists
-- the record, the waiting row of a retry, and the dead letter. It then frees their slots and deletes finished leases.
--
-- $1 worker_id uuid: holder of the leases
-- $2 finished_leases uuid[]: leases without further unsettled jobs
-- $3 settlements delivery.settlement_v1[]: results; a result without a log id was no attempt and writes no log row
-- $4 blocking_priority smallint: priority of a job that is retried in an ordered lane; before all other jobs, so that
--    it blocks the lane
--
-- A job that was ended or suspended during its call stays in that state: only its counters change, it does not return
-- to the queue, and its attempt is logged, never as `retried`. The state is read from the row itself, not from the
-- snapshot, so that a concurrent change counts too.
--
-- A job that returns as `queued` has made no attempt that counts, so its last failure remains. Only the reason of the
-- return replaces the error, if there is a reason and no attempt is logged.
--
-- A repeated statement changes nothing: it writes the log row of a settled job together with the job's change, and
-- the log row of any other job, as `late`, only if it does not exist. ON CONFLICT would cost a WAL record per row.
WITH results AS MATERIALIZED (
    SELECT * FROM unnest($3::delivery.settlement_v1[])
),
live_leases AS MATERIALIZED (
    SELECT id
    FROM delivery.leases
    WHERE id IN (SELECT lease_id FROM results) AND worker_id = $1
    FOR KEY SHARE
),
settled_jobs AS (
    UPDATE delivery.jobs
    SET
        status = CASE WHEN jobs.status IN ('queued', 'retrying')
            THEN results.status::delivery.job_status ELSE jobs.status
        END,
        attempt = results.attempt,
        uncounted = results.uncounted,
        stalls = jobs.stalls + results.stalled::integer,
        claims = results.claim,
        run_at = coalesce(to_timestamp(results.run_at), jobs.run_at),
        exhausted = CASE WHEN jobs.status IN ('queued', 'retrying') THEN results.exhausted ELSE jobs.exhausted END,
        failure_kind = CASE WHEN jobs.status IN ('queued', 'retrying') AND results.status <> 'queued'
            THEN results.failure_kind ELSE jobs.failure_kind
        END,
        error = CASE WHEN jobs.status NOT IN ('queued', 'retrying') THEN jobs.error
            WHEN results.status = 'queued' AND jobs.failure_kind IS NOT NULL
                AND (results.error IS NULL OR results.log_id IS NOT NULL)
            THEN jobs.error
            ELSE results.error
        END,
        status_code = CASE WHEN results.status = 'queued' THEN jobs.status_code ELSE results.status_code END,
        started_at = coalesce(
            jobs.started_at,
            CASE WHEN results.log_id IS NOT NULL
                THEN to_timestamp(results.finished_at - coalesce(results.duration_ms, 0) / 1000.0)
            END
        ),
        finished_at = CASE WHEN jobs.status NOT IN ('queued', 'retrying') THEN jobs.finished_at
            WHEN results.status IN ('succeeded', 'failed', 'canceled', 'skipped')
            THEN to_timestamp(results.finished_at)
        END,
        updated_at = now()
    FROM results
    JOIN live_leases ON live_leases.id = results.lease_id
    WHERE jobs.id = results.job_id AND jobs.claims < results.claim
    RETURNING
        jobs.id, jobs.run_at, jobs.status, jobs.exhausted, jobs.failure_kind, results.lane, results.priority,
        results.claim, jobs.attempt, results.status AS reported_status
),
new_logs AS (
    INSERT INTO delivery.delivery_logs (
        id, job_id, trigger_id, reaction_id, worker_id, created_at, attempt, duration_ms,
        dns_ms, connect_ms, tls_ms, send_ms, first_byte_ms, request_size, response_size, status_code,
        reused, truncated, outcome, failure_kind, tenant_id, method, endpoint, remote_address, error,
        request_head, request_body, response_head, response_body, lane
    )
    SELECT
        log_id, job_id, trigger_id, reaction_id, $1, to_timestamp(finished_at), attempt, duration_ms,
        dns_ms, connect_ms, tls_ms, send_ms, first_byte_ms, request_size, response_size, status_code,
        reused, truncated,
        CASE
            WHEN NOT settled THEN 'late'
            WHEN outcome = 'retried' AND job_id IN (
                SELECT settled_jobs.id FROM settled_jobs WHERE status NOT IN ('queued', 'retrying')
            ) THEN 'failed'
            ELSE outcome
        END,
        failure_kind, tenant_id, method, endpoint, remote_address, error,
        request_head, request_body, response_head, response_body, nullif(lane, reaction_id)
    FROM (
        -- OFFSET 0 prevents the planner from looking each job up twice.
        SELECT *, (job_id, claim) IN (SELECT settled_jobs.id, settled_jobs.claim FROM settled_jobs) AS settled
        FROM results
        WHERE log_id IS NOT NULL
        OFFSET 0
    ) AS attempts
    WHERE settled OR (
        SELECT count(*) = 0
        FROM (SELECT FROM delivery.delivery_logs WHERE delivery_logs.id = log_id LIMIT 1) AS existing_log
    )
),
new_waiting_jobs AS (
    INSERT INTO delivery.waiting_jobs (lane, priority, run_at, job_id, claim)
    SELECT
        lane,
        CASE
            WHEN attempt > 0 AND EXISTS (
                SELECT FROM delivery.lane_limits WHERE lane_limits.lane = settled_jobs.lane AND lane_limits.ordered
            ) THEN $4::smallint
            ELSE priority
        END,
        run_at, id, claim + 1
    FROM settled_jobs
    WHERE status IN ('queued', 'retrying')
),
freed_slots AS (
    DELETE FROM delivery.held_slots
    USING settled_jobs
    WHERE held_slots.job_id = settled_jobs.id AND held_slots.claim = settled_jobs.claim
),
new_dead_letters AS (
    INSERT INTO delivery.dead_letters (job_id, tenant_id, reaction_id)
    SELECT settled_jobs.id, results.tenant_id, results.reaction_id
    FROM settled_jobs
    JOIN results ON results.job_id = settled_jobs.id
    WHERE settled_jobs.exhausted
    ON CONFLICT (job_id) DO NOTHING
),
deleted_leases AS (
    DELETE FROM delivery.leases WHERE id = ANY ($2::uuid[]) AND worker_id = $1
)
SELECT
    (SELECT count(*) FROM settled_jobs) AS jobs,
    (SELECT array_agg(id ORDER BY id) FROM settled_jobs WHERE exhausted) AS exhausted,
    (
        SELECT array_agg(reaction_id) FROM delivery.reaction_health
        WHERE reaction_id IN (
            SELECT lane FROM settled_jobs
            WHERE reported_status = 'succeeded'
                OR (reported_status = 'failed' AND failure_kind = 'http_status' AND NOT exhausted)
        )
    ) AS recovering;
