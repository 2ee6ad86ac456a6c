-- Jobs as they are shown: `running`, its worker and the running attempt come from the lease.
CREATE VIEW delivery.shown_jobs AS
SELECT
    jobs.id,
    jobs.tenant_id,
    jobs.user_id,
    jobs.trigger_id,
    jobs.reaction_id,
    jobs.reaction_version,
    jobs.priority,
    CASE WHEN held.worker_id IS NULL THEN jobs.status::text ELSE 'running' END AS status,
    jobs.attempt + CASE WHEN held.worker_id IS NULL THEN 0 ELSE 1 END AS attempt,
    jobs.max_attempts,
    jobs.run_at,
    jobs.deadline,
    jobs.failure_kind,
    jobs.exhausted,
    jobs.status_code,
    jobs.error,
    jobs.stalls,
    held.worker_id AS locked_by,
    held.claimed_at AS locked_at,
    jobs.created_at,
    jobs.started_at,
    jobs.finished_at,
    jobs.updated_at
FROM delivery.jobs
LEFT JOIN LATERAL (
    SELECT leases.worker_id, leases.claimed_at
    FROM delivery.leases
    WHERE jobs.status IN ('queued', 'retrying')
        AND leases.job_ids @> ARRAY[jobs.id]
        AND leases.claims[array_position(leases.job_ids, jobs.id)] > jobs.claims
    LIMIT 1
) AS held ON true;

-- Log rows as they are shown: a body that was the payload is read from where the payload is stored.
CREATE VIEW delivery.shown_logs AS
SELECT
    logs.id,
    logs.tenant_id,
    logs.job_id,
    logs.trigger_id,
    logs.reaction_id,
    logs.worker_id,
    logs.attempt,
    logs.outcome,
    logs.method,
    logs.endpoint,
    logs.status_code,
    logs.failure_kind,
    logs.error,
    logs.duration_ms,
    logs.dns_ms,
    logs.connect_ms,
    logs.tls_ms,
    logs.send_ms,
    logs.first_byte_ms,
    logs.remote_address,
    logs.reused,
    logs.truncated,
    logs.request_head,
    coalesce(logs.request_body, triggers.payload, direct_jobs.payload) AS request_body,
    logs.request_size,
    logs.response_head,
    logs.response_body,
    logs.response_size,
    logs.created_at
FROM delivery.delivery_logs AS logs
LEFT JOIN delivery.triggers
    ON triggers.id = logs.trigger_id AND logs.request_body IS NULL AND logs.request_size IS NOT NULL
LEFT JOIN delivery.direct_jobs
    ON direct_jobs.id = logs.job_id AND logs.trigger_id IS NULL
    AND logs.request_body IS NULL AND logs.request_size IS NOT NULL;
