-- Returns a string that identifies the database, or NULL if it has no delivery schema.
SELECT pg_database.oid::text || '/' || to_regclass('delivery.catalogs')::oid::text AS identity
FROM pg_catalog.pg_database
WHERE pg_database.datname = current_database();
