-- Writes a job that has no stored reaction, what it sends, and its queue row. run_at NULL means now.
WITH direct AS (
    INSERT INTO delivery.direct_jobs (id, lane, params, credentials, payload)
    VALUES ($1, $2, $3, $4, $5)
),
queued AS (
    INSERT INTO delivery.queue (lane, priority, run_at, job_id, claim)
    VALUES ($2, $6, coalesce($7::timestamptz, now()), $1, 1)
),
notified AS MATERIALIZED (
    SELECT pg_notify('delivery_wake', $12) WHERE $12::text IS NOT NULL
),
written AS (
    INSERT INTO delivery.jobs (id, tenant_id, priority, max_attempts, run_at, deadline, user_id)
    VALUES ($1, $8, $6, $9, coalesce($7, now()), $10::timestamptz, $11::text)
    RETURNING run_at, created_at
)
SELECT run_at, created_at, (SELECT count(*) FROM notified) AS notifications FROM written;
