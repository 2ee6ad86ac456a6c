-- Rights for roles that do not own the schema: workers and producers, which write rows, and readers.
-- The owner's program calls delivery.grant_worker and delivery.grant_reader (`delivery migrate --grant`).

-- The partitions that should exist and do not, from yesterday to some days ahead, in days of UTC.
CREATE FUNCTION delivery.missing_partitions(days_ahead integer)
RETURNS TABLE (parent text, day date, child text) LANGUAGE sql STABLE AS $$
    SELECT wanted.*
    FROM (
        SELECT parents.parent, days.day, parents.parent || '_' || to_char(days.day, 'YYYYMMDD') AS child
        FROM unnest(ARRAY['triggers', 'jobs', 'direct_jobs', 'delivery_logs']) AS parents (parent)
        CROSS JOIN (
            SELECT (now() AT TIME ZONE 'UTC')::date + n AS day
            FROM generate_series(-1, days_ahead) AS n
        ) AS days
    ) AS wanted
    WHERE to_regclass('delivery.' || wanted.child) IS NULL
    ORDER BY wanted.day, wanted.parent
$$;

-- Makes what is missing; returns how many partitions it made.
--
-- It runs with the rights of its owner, who owns the tables: a worker that may only write rows can then make
-- the partitions of the next days itself. So it takes no names from its caller, bounds what it makes, and
-- looks up names in pg_catalog alone. pg_temp is named last, or else it would be searched first.
CREATE OR REPLACE FUNCTION delivery.ensure_partitions(days_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    made integer := 0;
    missing record;
BEGIN
    IF days_ahead IS NULL OR days_ahead NOT BETWEEN 0 AND 366 THEN
        RAISE EXCEPTION 'partitions are made for 0 to 366 days ahead, not for %', days_ahead
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Most calls find nothing to do, and need not wait for one another.
    IF NOT EXISTS (SELECT FROM delivery.missing_partitions(days_ahead)) THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('delivery.ensure_partitions'));
    FOR missing IN SELECT * FROM delivery.missing_partitions(days_ahead) LOOP
        -- A table that is made apart and then attached takes a lock that readers and writers do not wait for.
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

-- Rights that workers and readers share.
CREATE FUNCTION delivery.grant_reader(reader text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    relation regclass;
    named regtype;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA delivery TO %I', reader);
    IF NOT has_database_privilege(reader, current_database(), 'CONNECT') THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), reader);
    END IF;
    -- Rows of partitions are read and written through their parents, whose rights are enough.
    FOR relation IN
        SELECT oid FROM pg_class
        WHERE relnamespace = 'delivery'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
            AND NOT relispartition
    LOOP
        EXECUTE format('GRANT SELECT ON %s TO %I', relation, reader);
    END LOOP;
    FOR named IN
        SELECT pg_type.oid FROM pg_type
        LEFT JOIN pg_class ON pg_class.oid = typrelid
        WHERE typnamespace = 'delivery'::regnamespace
            AND (typtype IN ('e', 'd') OR typtype = 'c' AND pg_class.relkind = 'c')
    LOOP
        EXECUTE format('GRANT USAGE ON TYPE %s TO %I', named, reader);
    END LOOP;
    EXECUTE format('GRANT EXECUTE ON FUNCTION delivery.missing_partitions(integer) TO %I', reader);
END
$$;

COMMENT ON FUNCTION delivery.grant_reader(text) IS 'Lets a role read everything in the schema';

-- The engine deletes no records: retention drops whole partitions, which only their owner may.
CREATE FUNCTION delivery.grant_worker(worker text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    relation record;
BEGIN
    PERFORM delivery.grant_reader(worker);
    FOR relation IN
        SELECT oid::regclass AS name, relkind FROM pg_class
        WHERE relnamespace = 'delivery'::regnamespace AND relkind IN ('r', 'p', 'S')
            AND NOT relispartition AND relname <> 'schema_migrations'
    LOOP
        EXECUTE format(
            CASE relation.relkind
                WHEN 'r' THEN 'GRANT INSERT, UPDATE, DELETE ON TABLE %s TO %I'
                WHEN 'p' THEN 'GRANT INSERT, UPDATE ON TABLE %s TO %I'
                ELSE 'GRANT USAGE, SELECT ON SEQUENCE %s TO %I'
            END,
            relation.name, worker
        );
    END LOOP;
    EXECUTE format('GRANT EXECUTE ON FUNCTION delivery.ensure_partitions(integer) TO %I', worker);
END
$$;

COMMENT ON FUNCTION delivery.grant_worker(text) IS
    'Lets a role produce and deliver; partitions it makes by delivery.ensure_partitions alone';

-- Grants again, to the roles that were granted to before, what later migrations have added. They are known
-- by the functions that they may execute.
CREATE FUNCTION delivery.renew_grants() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT
            pg_get_userbyid(grantee) AS role,
            bool_or(pg_proc.proname = 'ensure_partitions') AS works
        FROM pg_proc, aclexplode(proacl)
        WHERE pg_proc.oid IN (
                'delivery.ensure_partitions(integer)'::regprocedure,
                'delivery.missing_partitions(integer)'::regprocedure
            )
            AND privilege_type = 'EXECUTE' AND grantee NOT IN (0, proowner)
        GROUP BY grantee
    LOOP
        IF granted.works THEN
            PERFORM delivery.grant_worker(granted.role);
        ELSE
            PERFORM delivery.grant_reader(granted.role);
        END IF;
    END LOOP;
END
$$;

REVOKE EXECUTE ON FUNCTION
    delivery.ensure_partitions(integer),
    delivery.missing_partitions(integer),
    delivery.set_partition_storage(regclass, text),
    delivery.grant_reader(text),
    delivery.grant_worker(text),
    delivery.renew_grants()
FROM PUBLIC;
