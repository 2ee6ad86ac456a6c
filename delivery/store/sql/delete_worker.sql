-- Deletes a stopped worker, unless it holds a lease: the lease must be reaped first.
--
-- $1 worker_id uuid: the worker
DELETE FROM delivery.workers
WHERE id = $1 AND NOT EXISTS (SELECT FROM delivery.leases WHERE worker_id = $1);
