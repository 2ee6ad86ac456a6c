-- The queue: only what is waiting, now or later. Rows are inserted and deleted, never updated: claiming
-- deletes a batch into one lease row, a retry inserts again. Its primary key is the claim index.
CREATE TABLE delivery.queue (
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

COMMENT ON COLUMN delivery.queue.lane IS 'The reaction; for direct jobs, an id made of tenant and origin';
COMMENT ON COLUMN delivery.queue.claim IS 'The number the next claim of this job will have';

-- One row per claimed batch. Its id is the fencing token: who writes a result names its lease, and
-- where that lease is gone the result changes nothing.
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

-- A heartbeat per worker process. Logged: after a crash of the server an unlogged table is empty, and
-- every worker would look dead.
CREATE TABLE delivery.workers (
    id uuid PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- What became of one claimed job, as workers hand it to the statement that settles a batch: one array of
-- these costs client and server half of what an array per column does.
CREATE TYPE delivery.settlement AS (
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
