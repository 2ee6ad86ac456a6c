-- Records: what people query. Partitioned by ranges of their UUIDv7 id, a day each, so that the primary
-- key alone gives time order and pages, and retention drops whole partitions.

CREATE TYPE delivery.job_status AS ENUM (
    'queued', 'retrying', 'suspended', 'succeeded', 'failed', 'canceled', 'skipped'
);

COMMENT ON TYPE delivery.job_status IS
    'The stored states. `running` is not among them: a job is running while a lease holds it.';

CREATE TABLE delivery.triggers (
    id uuid NOT NULL,
    tenant_id text NOT NULL,
    type text NOT NULL,
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);

COMMENT ON COLUMN delivery.triggers.payload IS 'JSON, byte for byte as it was given';

-- A job's id is its trigger's id with the last 62 bits XORed with the reaction's: the primary key thus
-- also holds "one job per trigger and reaction", and finds the jobs of a trigger by range.
-- No index names a column that changes, so updates are HOT.
CREATE TABLE delivery.jobs (
    id uuid NOT NULL,
    trigger_id uuid,
    reaction_id uuid,
    reaction_version integer,
    attempt integer NOT NULL DEFAULT 0,
    claims integer NOT NULL DEFAULT 0,
    uncounted integer NOT NULL DEFAULT 0,
    stalls smallint NOT NULL DEFAULT 0,
    max_attempts smallint NOT NULL,
    priority smallint NOT NULL,
    status_code smallint,
    status delivery.job_status NOT NULL DEFAULT 'queued',
    exhausted boolean NOT NULL DEFAULT false,
    run_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deadline timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    tenant_id text NOT NULL,
    user_id text,
    failure_kind text,
    error text,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);

COMMENT ON COLUMN delivery.jobs.attempt IS 'Attempts that ended, lost ones included';
COMMENT ON COLUMN delivery.jobs.uncounted IS
    'Attempts that do not count towards max_attempts: lost with their worker, or cut off by its stop';
COMMENT ON COLUMN delivery.jobs.claims IS
    'The number of the last claim that was settled; a lease with a greater number holds the job now';

-- What a direct job sends; a reaction's job finds it in reaction_versions and triggers.
CREATE TABLE delivery.direct_jobs (
    id uuid NOT NULL,
    lane uuid NOT NULL,
    params text NOT NULL,
    credentials text NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);

CREATE TABLE delivery.delivery_logs (
    id uuid NOT NULL,
    job_id uuid NOT NULL,
    trigger_id uuid,
    reaction_id uuid,
    worker_id uuid,
    created_at timestamptz NOT NULL,
    attempt integer NOT NULL,
    duration_ms real,
    dns_ms real,
    connect_ms real,
    tls_ms real,
    send_ms real,
    first_byte_ms real,
    request_size integer,
    response_size integer,
    status_code smallint,
    reused boolean,
    truncated boolean,
    outcome text NOT NULL CHECK (outcome IN ('succeeded', 'retried', 'failed', 'late', 'lost')),
    failure_kind text,
    tenant_id text NOT NULL,
    method text NOT NULL,
    endpoint text NOT NULL,
    remote_address text,
    error text,
    request_head bytea,
    request_body bytea,
    response_head bytea,
    response_body bytea,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);

CREATE INDEX delivery_logs_by_job ON delivery.delivery_logs (job_id);

COMMENT ON COLUMN delivery.delivery_logs.request_body IS
    'NULL where request_size is set: the body is the job''s payload, byte for byte';

-- Failed jobs that used up their attempts, to be found without an index on jobs.status.
CREATE TABLE delivery.dead_letters (
    job_id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    reaction_id uuid,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE FUNCTION delivery.refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'job % cannot go from % to %', OLD.id, OLD.status, NEW.status
        USING ERRCODE = 'check_violation';
END
$$;

-- The legal transitions between stored states; delivery/lifecycle.py holds the same table, and a test
-- compares the two. The condition is evaluated in place: the function is called only to refuse.
CREATE TRIGGER legal_transitions BEFORE UPDATE OF status ON delivery.jobs
    FOR EACH ROW
    WHEN (
        OLD.status <> NEW.status
        AND NOT (
            OLD.status IN ('queued', 'retrying')
            OR (OLD.status = 'suspended' AND NEW.status IN ('queued', 'canceled', 'skipped', 'failed'))
        )
    )
    EXECUTE FUNCTION delivery.refuse_transition();

-- The smallest UUIDv7-ordered value of a UTC day: its milliseconds in the first 48 bits, then zeros.
CREATE FUNCTION delivery.first_uuid(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT rpad(lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

-- Makes the partitions of every record table, one per UTC day, from yesterday to some days ahead.
-- A table made apart and then attached takes a lock that readers and writers do not wait for.
CREATE FUNCTION delivery.ensure_partitions(days_ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    made integer := 0;
    parent text;
    day date;
    child text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('delivery.ensure_partitions'));
    FOREACH parent IN ARRAY ARRAY['triggers', 'jobs', 'direct_jobs', 'delivery_logs'] LOOP
        FOR day IN
            SELECT generated::date FROM generate_series(
                (now() AT TIME ZONE 'UTC')::date - 1,
                (now() AT TIME ZONE 'UTC')::date + days_ahead,
                interval '1 day'
            ) AS generated
        LOOP
            child := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
            CONTINUE WHEN to_regclass(format('delivery.%I', child)) IS NOT NULL;
            EXECUTE format(
                'CREATE TABLE delivery.%I (LIKE delivery.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                child, parent
            );
            IF parent = 'jobs' THEN
                EXECUTE format('ALTER TABLE delivery.%I SET (fillfactor = 75)', child);
            END IF;
            EXECUTE format(
                'ALTER TABLE delivery.%I ATTACH PARTITION delivery.%I FOR VALUES FROM (%L) TO (%L)',
                parent, child, delivery.first_uuid(day), delivery.first_uuid(day + 1)
            );
            made := made + 1;
        END LOOP;
    END LOOP;
    RETURN made;
END
$$;
