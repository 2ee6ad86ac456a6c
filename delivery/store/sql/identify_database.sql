-- A text that identifies this database, or NULL where it has no schema of the engine's.
SELECT pg_database.oid::text || '/' || to_regclass('delivery.catalogs')::oid::text AS identity
FROM pg_catalog.pg_database
WHERE pg_database.datname = current_database();
