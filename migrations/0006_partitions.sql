-- Partitions as they are made from now on, and those of today and later that are there already.
--
-- A job is updated once for each attempt, many of a page in the same statement: with more than half of every
-- page free the new versions, which are longer, fit beside the old ones, and no index is touched.
--
-- Tiny tables are left alone by autovacuum: its statistics would have them scanned as a whole, by plans
-- that are still in use when they have grown.
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

CREATE OR REPLACE FUNCTION delivery.ensure_partitions(days_ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
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
            PERFORM delivery.set_partition_storage(format('delivery.%I', child)::regclass, parent);
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

SELECT delivery.set_partition_storage(inhrelid::regclass, split_part(inhparent::regclass::text, '.', 2))
FROM pg_inherits
WHERE inhparent IN (
    'delivery.triggers'::regclass, 'delivery.jobs'::regclass, 'delivery.direct_jobs'::regclass,
    'delivery.delivery_logs'::regclass
);
