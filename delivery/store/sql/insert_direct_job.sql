-- Writes a job that has no stored reaction, what it sends, and its queue row. run_at NULL means now. Returns
-- the time of creation in microseconds since the epoch.
WITH direct AS (
    INSERT INTO delivery.direct_jobs (id, lane, params, credentials, payload)
    VALUES ($1::uuid, $2::uuid, $3::text, $4::text, $5::bytea)
),
queued AS (
    INSERT INTO delivery.queue (lane, priority, run_at, job_id, claim)
    VALUES ($2::uuid, $6::smallint, coalesce($7::timestamptz, now()), $1::uuid, 1)
),
written AS (
    INSERT INTO delivery.jobs (
        id, tenant_id, priority, max_attempts, run_at, due_at, deadline, user_id
    )
    VALUES (
        $1::uuid, $8::text, $6::smallint, $9::smallint, coalesce($7::timestamptz, now()), $7::timestamptz,
        $10::timestamptz, $11::text
    )
    RETURNING id
)
SELECT (extract(epoch FROM now()) * 1000000)::bigint AS created_at FROM written;
