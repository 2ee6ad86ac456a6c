SELECT to_regclass('delivery.schema_migrations') IS NOT NULL;
