-- Lists the leases of a worker.
--
-- $1 worker_id uuid: the worker
SELECT id FROM delivery.leases WHERE worker_id = $1;
