-- Records: triggers, jobs and delivery logs. Each table is partitioned into days by its UUIDv7 id. The primary
-- key therefore gives order of time and pages, and retention drops whole partitions.

CREATE TYPE delivery.job_status AS ENUM (
    'queued', 'retrying', 'suspended', 'succeeded', 'failed', 'canceled', 'skipped'
);

COMMENT ON TYPE delivery.job_status IS
    'Stored states of a job. `running` is not stored: a job is running while a lease contains it';

CREATE TABLE delivery.triggers (
    id uuid NOT NULL,
    tenant_id text NOT NULL,
    type text NOT NULL,
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    raised_by uuid,
    raised_depth smallint,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);

COMMENT ON COLUMN delivery.triggers.payload IS 'JSON, byte for byte as given, or encrypted';
COMMENT ON COLUMN delivery.triggers.raised_by IS
    'Job whose handler raised the trigger, to be written by handlers; NULL: raised by a program';
COMMENT ON COLUMN delivery.triggers.raised_depth IS
    'Number of jobs between the trigger and the first trigger of its chain; NULL where raised_by is NULL';

-- The id of a reaction's job is its trigger's id with the last 62 bits XORed with the reaction's id. The primary
-- key thus ensures one job per trigger and reaction, and gives the jobs of a trigger as a range.
-- No index contains a column that changes, so that all updates are HOT. Columns that never change come first:
-- the WAL of an update leaves out the common beginning of the old and the new row.
CREATE TABLE delivery.jobs (
    id uuid NOT NULL,
    message_id uuid NOT NULL,
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
    due_at timestamptz,
    redelivery_of uuid,
    job_type text,
    queue text,
    fingerprint bytea,
    progress text,
    result bytea,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);

-- Only redelivered jobs have a row in this index; any other message is found by the primary key.
CREATE INDEX jobs_by_message ON delivery.jobs (message_id) WHERE message_id <> id;

COMMENT ON COLUMN delivery.jobs.message_id IS
    'The webhook-id of all requests of the job: msg_ and these 32 hex digits. The id of the job, unless the job'
    ' redelivers a message';
COMMENT ON COLUMN delivery.jobs.attempt IS 'Number of ended attempts, including attempts lost with their worker';
COMMENT ON COLUMN delivery.jobs.uncounted IS
    'Number of attempts that do not count towards max_attempts: lost with their worker, or cut off by its stop';
COMMENT ON COLUMN delivery.jobs.stalls IS 'Number of attempts lost with their worker';
COMMENT ON COLUMN delivery.jobs.claims IS
    'Number of the last settled claim; a lease with a greater number for the job holds the job';
COMMENT ON COLUMN delivery.jobs.exhausted IS 'True if the job failed because its attempts or its time are used up';
COMMENT ON COLUMN delivery.jobs.due_at IS
    'Requested time of the first attempt, if a time or delay was given; max_elapsed counts from then';
COMMENT ON COLUMN delivery.jobs.redelivery_of IS
    'Job that this job repeats, to be written by redeliver; NULL: not a redelivery';
COMMENT ON COLUMN delivery.jobs.job_type IS
    'Name of the handler, to be written by jobs of Python handlers; NULL: an HTTP request';
COMMENT ON COLUMN delivery.jobs.queue IS 'Named queue, to be written by queues; NULL: the default queue';
COMMENT ON COLUMN delivery.jobs.fingerprint IS
    'Hash of the properties that make two jobs duplicates, to be written by unique jobs; NULL: not unique';
COMMENT ON COLUMN delivery.jobs.progress IS 'JSON that the handler reported last, to be written by handlers';
COMMENT ON COLUMN delivery.jobs.result IS 'JSON that the handler returned, to be written by handlers';

CREATE TABLE delivery.direct_jobs (
    id uuid NOT NULL,
    lane uuid NOT NULL,
    params text NOT NULL,
    credentials text NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);

COMMENT ON TABLE delivery.direct_jobs IS
    'HTTP request and payload of each job without a reaction; other jobs use reaction_versions and triggers';

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
    lane uuid,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);

CREATE INDEX delivery_logs_by_job ON delivery.delivery_logs (job_id);

-- Finds failures among any number of successes, and costs nothing for a success; see docs/adr/0013.
CREATE INDEX delivery_logs_failures ON delivery.delivery_logs (id) WHERE outcome <> 'succeeded';

COMMENT ON COLUMN delivery.delivery_logs.request_body IS
    'NULL where request_size is set: the body is the payload of the job, byte for byte';
COMMENT ON COLUMN delivery.delivery_logs.lane IS 'Lane of a direct job; NULL: the reaction is the lane';

CREATE TABLE delivery.dead_letters (
    job_id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    reaction_id uuid,
    created_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE delivery.dead_letters IS 'Exhausted jobs, to be found without an index on the status of jobs';

CREATE FUNCTION delivery.refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'job % cannot go from % to %', OLD.id, OLD.status, NEW.status
        USING ERRCODE = 'check_violation';
END
$$;

-- The legal transitions between stored states, as in delivery/lifecycle.py; a test compares both. The condition
-- is evaluated in place and the function is called only to refuse. AFTER, because a BEFORE trigger locks every
-- row first, which writes a WAL record for each.
CREATE TRIGGER legal_transitions AFTER UPDATE OF status ON delivery.jobs
    FOR EACH ROW
    WHEN (
        OLD.status <> NEW.status
        AND NOT (
            OLD.status IN ('queued', 'retrying')
            OR (OLD.status = 'suspended' AND NEW.status IN ('queued', 'canceled', 'skipped', 'failed'))
        )
    )
    EXECUTE FUNCTION delivery.refuse_transition();

CREATE FUNCTION delivery.first_uuid(day date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT rpad(lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;

COMMENT ON FUNCTION delivery.first_uuid(date) IS
    'Smallest UUIDv7 of a UTC day: its milliseconds in the first 48 bits, then zeros';

-- A job is updated once per attempt, many jobs of a page in the same statement. With more than half of every page
-- free, the new rows, which are longer, fit into the same page, and no index is touched.
--
-- Autovacuum leaves tiny tables alone: with their statistics the planner chooses scans of whole tables, and these
-- plans remain in use when the tables have grown.
CREATE FUNCTION delivery.set_partition_storage(partition regclass, parent text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format(
        'ALTER TABLE %s SET (autovacuum_vacuum_threshold = 10000, autovacuum_analyze_threshold = 10000,'
        ' autovacuum_vacuum_insert_threshold = 10000)', partition
    );
    IF parent = 'jobs' THEN
        EXECUTE format('ALTER TABLE %s SET (fillfactor = 45)', partition);
    END IF;
END
$$;

CREATE FUNCTION delivery.missing_partitions(days_ahead integer)
RETURNS TABLE (parent text, day date, child text) LANGUAGE sql STABLE AS $$
    SELECT expected.*
    FROM (
        SELECT parents.parent, days.day, parents.parent || '_' || to_char(days.day, 'YYYYMMDD') AS child
        FROM unnest(ARRAY['triggers', 'jobs', 'direct_jobs', 'delivery_logs']) AS parents (parent)
        CROSS JOIN (
            SELECT (now() AT TIME ZONE 'UTC')::date + n AS day
            FROM generate_series(-1, days_ahead) AS n
        ) AS days
    ) AS expected
    WHERE to_regclass('delivery.' || expected.child) IS NULL
    ORDER BY expected.day, expected.parent
$$;

COMMENT ON FUNCTION delivery.missing_partitions(integer) IS
    'Partitions that do not exist although they should, from yesterday to this number of days ahead, in UTC';

-- The function runs with the rights of its owner, who owns the tables, so that a worker that may only write rows
-- can create the partitions of the next days. It therefore takes no names from its caller, limits the number of
-- partitions, and looks up names in pg_catalog alone. pg_temp is last in the path; unnamed, it would be first.
CREATE FUNCTION delivery.ensure_partitions(days_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made integer := 0;
    missing record;
BEGIN
    IF days_ahead IS NULL OR days_ahead NOT BETWEEN 0 AND 366 THEN
        RAISE EXCEPTION 'partitions are made for 0 to 366 days ahead, not for %', days_ahead
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Most calls find nothing missing, and need not wait for one another.
    IF NOT EXISTS (SELECT FROM delivery.missing_partitions(days_ahead)) THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('delivery.ensure_partitions'));
    FOR missing IN SELECT * FROM delivery.missing_partitions(days_ahead) LOOP
        -- Attaching a complete table takes a lock that readers and writers do not wait for.
        EXECUTE format(
            'CREATE TABLE delivery.%I (LIKE delivery.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
            missing.child, missing.parent
        );
        PERFORM delivery.set_partition_storage(
            format('delivery.%I', missing.child)::regclass, missing.parent
        );
        EXECUTE format(
            'ALTER TABLE delivery.%I ATTACH PARTITION delivery.%I FOR VALUES FROM (%L) TO (%L)',
            missing.parent, missing.child,
            delivery.first_uuid(missing.day), delivery.first_uuid(missing.day + 1)
        );
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

COMMENT ON FUNCTION delivery.ensure_partitions(integer) IS
    'Creates the missing partitions from yesterday to this number of days ahead; returns their number';
