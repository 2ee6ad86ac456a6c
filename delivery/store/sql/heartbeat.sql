-- Registers the worker or renews its heartbeat, and tells the database's time.
INSERT INTO delivery.workers (id, host, pid, version)
VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()
RETURNING extract(epoch FROM clock_timestamp())::float8 AS database_epoch;
