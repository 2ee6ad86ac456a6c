-- Registers a worker or renews its heartbeat; returns the time of the database, in seconds since the epoch.
--
-- $1 worker_id uuid: id of the worker process
-- $2 host text: name of its machine
-- $3 pid integer: its process id
-- $4 version text: version of its engine
INSERT INTO delivery.workers (id, host, pid, version)
VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()
RETURNING extract(epoch FROM clock_timestamp())::float8 AS database_epoch;
