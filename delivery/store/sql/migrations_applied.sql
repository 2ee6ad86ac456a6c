SELECT version, name, checksum, applied_at
FROM delivery.schema_migrations
ORDER BY version;
