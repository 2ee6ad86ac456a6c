-- Tells if the database has a delivery schema.
SELECT to_regclass('delivery.schema_migrations') IS NOT NULL;
