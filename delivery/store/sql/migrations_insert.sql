-- Records an applied migration.
--
-- $1 version integer: its number
-- $2 name text: its name
-- $3 checksum text: SHA-256 of its text
-- $4 additive boolean: true if engines of the previous version can work with the schema after it
INSERT INTO delivery.schema_migrations (version, name, checksum, additive)
VALUES ($1, $2, $3, $4);
