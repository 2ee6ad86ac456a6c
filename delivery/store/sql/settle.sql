-- Writes what became of a batch of claimed jobs: every log row, and for those whose lease still stands
-- the record, the retry's queue row and the dead letter; then frees their slots, and removes the leases
-- that are finished ($2). Entries without a log id (never called) write no log row. In an ordered lane a
-- job that was ever called and goes back waits before all others, which is what holds the lane ($4).
-- Repeating the statement changes nothing: a log row is written with its job's change, or, where the lease
-- is gone, unless it is there. ON CONFLICT would say the same and cost a record in the WAL for each row.
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
        status = given.status::delivery.job_status,
        attempt = given.attempt,
        uncounted = given.uncounted,
        stalls = jobs.stalls + given.stalled::integer,
        claims = given.claim,
        run_at = coalesce(to_timestamp(given.run_at), jobs.run_at),
        exhausted = given.exhausted,
        failure_kind = given.failure_kind,
        error = given.error,
        status_code = given.status_code,
        started_at = coalesce(
            jobs.started_at,
            CASE WHEN given.log_id IS NOT NULL
                THEN to_timestamp(given.finished_at - coalesce(given.duration_ms, 0) / 1000.0)
            END
        ),
        finished_at = CASE WHEN given.status IN ('succeeded', 'failed', 'canceled', 'skipped')
            THEN to_timestamp(given.finished_at)
        END,
        updated_at = now()
    FROM given
    JOIN fence ON fence.id = given.lease_id
    WHERE jobs.id = given.job_id AND jobs.claims < given.claim
    RETURNING
        jobs.id, jobs.run_at, jobs.status, jobs.exhausted, jobs.failure_kind, given.lane, given.priority, given.claim,
        jobs.attempt
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
        reused, truncated, CASE WHEN fence.id IS NULL THEN 'late' ELSE outcome END, failure_kind,
        tenant_id, method, endpoint, remote_address, error,
        request_head, request_body, response_head, response_body
    FROM given
    LEFT JOIN fence ON fence.id = given.lease_id
    WHERE log_id IS NOT NULL AND CASE
        WHEN fence.id IS NULL THEN (
            SELECT count(*) = 0
            FROM (SELECT FROM delivery.delivery_logs WHERE delivery_logs.id = log_id LIMIT 1) AS present
        )
        ELSE job_id IN (SELECT updated.id FROM updated)
    END
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
            WHERE status = 'succeeded'
                OR (status = 'failed' AND failure_kind = 'http_status' AND NOT exhausted)
        )
    ) AS healing;
