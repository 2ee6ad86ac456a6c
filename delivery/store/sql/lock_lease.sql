-- Locks a lease of a worker until the end of the transaction.
--
-- $1 lease_id uuid: the lease
-- $2 worker_id uuid: its holder
SELECT id FROM delivery.leases WHERE id = $1 AND worker_id = $2 FOR UPDATE;
