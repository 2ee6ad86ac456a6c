-- Returns the time of the database, in seconds since the epoch.
SELECT extract(epoch FROM clock_timestamp())::float8 AS database_epoch;
