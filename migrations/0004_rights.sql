-- Rights for roles that do not own the schema: workers and producers, which write rows, and readers.
-- The owner grants them with `delivery migrate --grant`, which calls grant_worker and grant_reader.

CREATE FUNCTION delivery.grant_reader(reader text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    relation regclass;
    named regtype;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA delivery TO %I', reader);
    IF NOT has_database_privilege(reader, current_database(), 'CONNECT') THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), reader);
    END IF;
    -- Rows of partitions are read and written with the rights to their parents.
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

COMMENT ON FUNCTION delivery.grant_reader(text) IS 'Grants a role the right to read everything in the schema';

-- No DELETE on records: retention drops whole partitions, which requires their owner.
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
    'Grants a role the rights to produce and deliver; it creates partitions only through ensure_partitions';

-- Grants the rights to objects of later migrations to the roles that were granted rights before. Such a role is
-- recognised by the functions that it may execute.
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
