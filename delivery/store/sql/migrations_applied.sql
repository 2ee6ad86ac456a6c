-- Lists the applied migrations.
SELECT version, name, checksum, additive, applied_at
FROM delivery.schema_migrations
ORDER BY version;
