-- The queue and its workers: waiting jobs, leases, limits of lanes, and results of claims.

-- Rows are inserted and deleted, never updated: a claim deletes a batch of rows into one lease, a retry inserts a
-- new row. The primary key is the index that claims use.
CREATE TABLE delivery.waiting_jobs (
    lane uuid NOT NULL,
    run_at timestamptz NOT NULL,
    job_id uuid NOT NULL,
    claim integer NOT NULL,
    priority smallint NOT NULL,
    PRIMARY KEY (lane, priority, run_at, job_id)
) WITH (
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0.1,
    autovacuum_analyze_scale_factor = 0.5,
    autovacuum_vacuum_cost_delay = 0
);

COMMENT ON TABLE delivery.waiting_jobs IS 'Jobs that wait for a worker, due now or later';
COMMENT ON COLUMN delivery.waiting_jobs.lane IS
    'The reaction; for direct jobs a UUID computed from tenant and origin';
COMMENT ON COLUMN delivery.waiting_jobs.claim IS 'Number of the next claim of the job';

CREATE TABLE delivery.leases (
    id uuid PRIMARY KEY,
    worker_id uuid NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    job_ids uuid[] NOT NULL,
    claims integer[] NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

COMMENT ON TABLE delivery.leases IS
    'One row per claimed batch. Its id is the fencing token: each result names its lease, and a result whose lease'
    ' does not exist changes nothing';

-- Logged: an unlogged table is empty after a crash of the server, and every worker would look dead.
CREATE TABLE delivery.workers (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

COMMENT ON COLUMN delivery.workers.seen_at IS 'Time of the last heartbeat';

CREATE TABLE delivery.lane_limits (
    lane uuid PRIMARY KEY,
    concurrency integer,
    rate_limit integer,
    rate_period float8,
    ordered boolean NOT NULL,
    next_at float8 NOT NULL DEFAULT 0,
    paused_until float8 NOT NULL DEFAULT 0,
    probing boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

COMMENT ON TABLE delivery.lane_limits IS
    'Limits over all workers together. Only limited and paused lanes have a row, so that claims of all other lanes'
    ' cost one index lookup';
COMMENT ON COLUMN delivery.lane_limits.next_at IS
    'Time of the next call at even intervals, in seconds since the epoch; see policy/lane_limits.py';
COMMENT ON COLUMN delivery.lane_limits.paused_until IS
    'End of the pause of a failing endpoint, in seconds since the epoch; 0: not paused';
COMMENT ON COLUMN delivery.lane_limits.probing IS
    'True while one call at a time tests if the endpoint works again';

CREATE TABLE delivery.held_slots (
    job_id uuid PRIMARY KEY,
    lane uuid NOT NULL,
    claim integer NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

CREATE INDEX held_slots_by_lane ON delivery.held_slots (lane);

COMMENT ON TABLE delivery.held_slots IS
    'Claimed jobs of limited lanes. A claim counts and inserts them while it holds the lock on the row of'
    ' lane_limits; settling deletes them';

CREATE TABLE delivery.pending_announcements (
    type text NOT NULL,
    subject uuid NOT NULL,
    reason text,
    tries integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (type, subject)
);

COMMENT ON TABLE delivery.pending_announcements IS
    'Triggers of the engine that could not be written in the transaction of the change they announce. Workers'
    ' write them later and delete the row';
COMMENT ON COLUMN delivery.pending_announcements.type IS 'Event type, such as job.exhausted';
COMMENT ON COLUMN delivery.pending_announcements.subject IS 'The job or the reaction, depending on the type';

-- One array of a composite type costs client and server half of one array per column. Running workers use the
-- type by its name, so a change of its fields makes a new type, settlement_v2, next to it.
CREATE TYPE delivery.settlement_v1 AS (
    lease_id uuid,
    job_id uuid,
    claim integer,
    lane uuid,
    priority smallint,
    status text,
    attempt integer,
    uncounted integer,
    run_at float8,
    exhausted boolean,
    failure_kind text,
    error text,
    status_code smallint,
    finished_at float8,
    log_id uuid,
    trigger_id uuid,
    reaction_id uuid,
    tenant_id text,
    outcome text,
    method text,
    endpoint text,
    duration_ms real,
    dns_ms real,
    connect_ms real,
    tls_ms real,
    send_ms real,
    first_byte_ms real,
    remote_address text,
    reused boolean,
    truncated boolean,
    request_head bytea,
    request_body bytea,
    request_size integer,
    response_head bytea,
    response_body bytea,
    response_size integer,
    stalled boolean
);

COMMENT ON TYPE delivery.settlement_v1 IS 'Result of one claimed job, as workers pass it to the settle statement';

CREATE FUNCTION delivery.calendar_time(instant timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN instant < '0001-01-02 00:00:00+00' THEN timestamptz '0001-01-02 00:00:00+00'
        WHEN instant > '9999-12-30 00:00:00+00' THEN timestamptz '9999-12-30 00:00:00+00'
        ELSE instant
    END
$$;

COMMENT ON FUNCTION delivery.calendar_time(timestamptz) IS
    'Nearest time that programs can represent, so that one row with another time does not fail a listing';

CREATE VIEW delivery.jobs_with_lease AS
SELECT
    jobs.id,
    jobs.tenant_id,
    jobs.user_id,
    jobs.trigger_id,
    jobs.reaction_id,
    jobs.reaction_version,
    jobs.message_id,
    jobs.priority,
    CASE WHEN lease.worker_id IS NULL THEN jobs.status::text ELSE 'running' END AS status,
    jobs.attempt + CASE WHEN lease.worker_id IS NULL THEN 0 ELSE 1 END AS attempt,
    jobs.max_attempts,
    delivery.calendar_time(jobs.run_at) AS run_at,
    delivery.calendar_time(jobs.deadline) AS deadline,
    jobs.failure_kind,
    jobs.exhausted,
    jobs.status_code,
    jobs.error,
    jobs.stalls,
    lease.worker_id AS locked_by,
    lease.claimed_at AS locked_at,
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
) AS lease ON true;

COMMENT ON VIEW delivery.jobs_with_lease IS
    'Jobs for reading: the status running, the worker and the running attempt come from the lease';

CREATE VIEW delivery.logs_with_body AS
SELECT
    logs.id,
    logs.tenant_id,
    logs.job_id,
    logs.trigger_id,
    logs.reaction_id,
    coalesce(logs.lane, logs.reaction_id) AS lane,
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

COMMENT ON VIEW delivery.logs_with_body IS
    'Delivery logs for reading: a body that was the payload is read from the trigger or the direct job';
