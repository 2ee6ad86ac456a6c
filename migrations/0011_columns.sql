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
