-- Writes the results of a batch of claimed jobs: every log row, and for jobs whose lease still exists the
-- record, the retry's queue row and the dead letter. It then frees their slots and deletes the leases that
-- are finished ($2). Entries without a log id (never called) write no log row. In an ordered lane a job that
-- was ever called and goes back waits before all others, which holds the lane ($4).
--
-- A job that somebody else ended or suspended during its call keeps that state: only its counters change,
-- it does not go back to the queue, and its attempt is logged. Such a call is never `retried`. The state is
-- read from the row itself, not from the snapshot, so a change during this statement counts as well.
--
-- A job that goes back as `queued` has made no attempt that counts, so it keeps its last failure. Only the
-- reason why it goes back, if there is one and no attempt is logged, replaces the error.
--
-- Repeating the statement changes nothing: a log row is written with its job's change, or as `late`, where
-- nothing was changed, unless it exists. ON CONFLICT would do the same for a WAL record per row.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($3::delivery.settlement[])
),
fence AS MATERIALIZED (
    SELECT id
    FROM delivery.leases
    WHERE id IN (SELECT lease_id FROM given) AND worker_id = $1
    FOR KEY SHARE
),
updated AS (
    UPDATE delivery.jobs
    SET
        status = CASE WHEN jobs.status IN ('queued', 'retrying')
            THEN given.status::delivery.job_status ELSE jobs.status
        END,
        attempt = given.attempt,
        uncounted = given.uncounted,
        stalls = jobs.stalls + given.stalled::integer,
        claims = given.claim,
        run_at = coalesce(to_timestamp(given.run_at), jobs.run_at),
        exhausted = CASE WHEN jobs.status IN ('queued', 'retrying') THEN given.exhausted ELSE jobs.exhausted END,
        failure_kind = CASE WHEN jobs.status IN ('queued', 'retrying') AND given.status <> 'queued'
            THEN given.failure_kind ELSE jobs.failure_kind
        END,
        error = CASE WHEN jobs.status NOT IN ('queued', 'retrying') THEN jobs.error
            WHEN given.status = 'queued' AND jobs.failure_kind IS NOT NULL
                AND (given.error IS NULL OR given.log_id IS NOT NULL)
            THEN jobs.error
            ELSE given.error
        END,
        status_code = CASE WHEN given.status = 'queued' THEN jobs.status_code ELSE given.status_code END,
        started_at = coalesce(
            jobs.started_at,
            CASE WHEN given.log_id IS NOT NULL
                THEN to_timestamp(given.finished_at - coalesce(given.duration_ms, 0) / 1000.0)
            END
        ),
        finished_at = CASE WHEN jobs.status NOT IN ('queued', 'retrying') THEN jobs.finished_at
            WHEN given.status IN ('succeeded', 'failed', 'canceled', 'skipped')
            THEN to_timestamp(given.finished_at)
        END,
        updated_at = now()
    FROM given
    JOIN fence ON fence.id = given.lease_id
    WHERE jobs.id = given.job_id AND jobs.claims < given.claim
    RETURNING
        jobs.id, jobs.run_at, jobs.status, jobs.exhausted, jobs.failure_kind, given.lane, given.priority, given.claim,
        jobs.attempt, given.status AS answered
),
logged AS (
    INSERT INTO delivery.delivery_logs (
        id, job_id, trigger_id, reaction_id, worker_id, created_at, attempt, duration_ms,
        dns_ms, connect_ms, tls_ms, send_ms, first_byte_ms, request_size, response_size, status_code,
        reused, truncated, outcome, failure_kind, tenant_id, method, endpoint, remote_address, error,
        request_head, request_body, response_head, response_body
    )
    SELECT
        log_id, job_id, trigger_id, reaction_id, $1, to_timestamp(finished_at), attempt, duration_ms,
        dns_ms, connect_ms, tls_ms, send_ms, first_byte_ms, request_size, response_size, status_code,
        reused, truncated,
        CASE
            WHEN NOT settled THEN 'late'
            WHEN outcome = 'retried' AND job_id IN (
                SELECT updated.id FROM updated WHERE status NOT IN ('queued', 'retrying')
            ) THEN 'failed'
            ELSE outcome
        END,
        failure_kind, tenant_id, method, endpoint, remote_address, error,
        request_head, request_body, response_head, response_body
    FROM (
        -- OFFSET 0 keeps the planner from looking each job up twice.
        SELECT *, (job_id, claim) IN (SELECT updated.id, updated.claim FROM updated) AS settled
        FROM given
        WHERE log_id IS NOT NULL
        OFFSET 0
    ) AS answered
    WHERE settled OR (
        SELECT count(*) = 0
        FROM (SELECT FROM delivery.delivery_logs WHERE delivery_logs.id = log_id LIMIT 1) AS present
    )
),
queued AS (
    INSERT INTO delivery.queue (lane, priority, run_at, job_id, claim)
    SELECT
        lane,
        CASE
            WHEN attempt > 0 AND EXISTS (
                SELECT FROM delivery.lane_limits WHERE lane_limits.lane = updated.lane AND lane_limits.ordered
            ) THEN $4::smallint
            ELSE priority
        END,
        run_at, id, claim + 1
    FROM updated
    WHERE status IN ('queued', 'retrying')
),
freed AS (
    DELETE FROM delivery.held_slots
    USING updated
    WHERE held_slots.job_id = updated.id AND held_slots.claim = updated.claim
),
buried AS (
    INSERT INTO delivery.dead_letters (job_id, tenant_id, reaction_id)
    SELECT updated.id, given.tenant_id, given.reaction_id
    FROM updated
    JOIN given ON given.job_id = updated.id
    WHERE updated.exhausted
    ON CONFLICT (job_id) DO NOTHING
),
finished AS (
    DELETE FROM delivery.leases WHERE id = ANY ($2::uuid[]) AND worker_id = $1
)
SELECT
    (SELECT count(*) FROM updated) AS settled,
    (SELECT array_agg(id ORDER BY id) FROM updated WHERE exhausted) AS exhausted,
    (
        SELECT array_agg(reaction_id) FROM delivery.reaction_health
        WHERE reaction_id IN (
            SELECT lane FROM updated
            WHERE answered = 'succeeded'
                OR (answered = 'failed' AND failure_kind = 'http_status' AND NOT exhausted)
        )
    ) AS healing;
