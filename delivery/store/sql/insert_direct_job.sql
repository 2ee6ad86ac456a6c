-- Writes a job without a reaction, its request, and its waiting row. Returns the creation time in microseconds since
-- the epoch.
--
-- $1 job_id uuid: id of the job
-- $2 lane uuid: lane of its tenant and origin
-- $3 params text: JSON of its request, without secrets
-- $4 credentials text: encrypted secrets of its request
-- $5 payload bytea: payload, as stored
-- $6 priority smallint: priority within the lane
-- $7 run_at timestamptz: time of the first attempt; NULL: now
-- $8 tenant_id text: tenant of the job
-- $9 max_attempts smallint: maximum number of attempts
-- $10 deadline timestamptz: latest start of an attempt; NULL: none
-- $11 user_id text: user, for the use of the caller; NULL: none
WITH new_direct_job AS (
    INSERT INTO delivery.direct_jobs (id, lane, params, credentials, payload)
    VALUES ($1::uuid, $2::uuid, $3::text, $4::text, $5::bytea)
),
new_waiting_job AS (
    INSERT INTO delivery.waiting_jobs (lane, priority, run_at, job_id, claim)
    VALUES ($2::uuid, $6::smallint, coalesce($7::timestamptz, now()), $1::uuid, 1)
),
new_job AS (
    INSERT INTO delivery.jobs (
        id, message_id, tenant_id, priority, max_attempts, run_at, due_at, deadline, user_id
    )
    VALUES (
        $1::uuid, $1::uuid, $8::text, $6::smallint, $9::smallint, coalesce($7::timestamptz, now()),
        $7::timestamptz, $10::timestamptz, $11::text
    )
    RETURNING id
)
SELECT (extract(epoch FROM now()) * 1000000)::bigint AS created_at FROM new_job;
