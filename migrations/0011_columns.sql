-- Columns for values that statements need. Until now statements read them out of JSON texts, so one text that
-- PostgreSQL's JSON functions cannot read failed a statement over many rows.
ALTER TABLE delivery.reaction_versions ADD COLUMN max_attempts integer;

COMMENT ON COLUMN delivery.reaction_versions.max_attempts IS
    'The retry policy''s; NULL: the version was stored by an older engine, and params holds it';

-- A text that cannot be read keeps NULL: the engine then reads it itself.
CREATE FUNCTION delivery.max_attempts_of(params text) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    RETURN (params::json #>> '{retry,max_attempts}')::integer;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;

UPDATE delivery.reaction_versions SET max_attempts = delivery.max_attempts_of(params);

DROP FUNCTION delivery.max_attempts_of(text);

ALTER TABLE delivery.jobs ADD COLUMN due_at timestamptz;

COMMENT ON COLUMN delivery.jobs.due_at IS
    'When the first attempt was asked for, if a time or delay was given; max_elapsed runs from then';

-- The nearest time that programs can show: a row with a time before or after all calendars must not fail a
-- listing.
CREATE FUNCTION delivery.shown_time(instant timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN instant < '0001-01-02 00:00:00+00' THEN timestamptz '0001-01-02 00:00:00+00'
        WHEN instant > '9999-12-30 00:00:00+00' THEN timestamptz '9999-12-30 00:00:00+00'
        ELSE instant
    END
$$;

CREATE OR REPLACE VIEW delivery.shown_jobs AS
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
    delivery.shown_time(jobs.run_at) AS run_at,
    delivery.shown_time(jobs.deadline) AS deadline,
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
