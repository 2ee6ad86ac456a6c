-- Forgets a worker that stopped, unless a lease still names it: then it must be reaped first.
DELETE FROM delivery.workers
WHERE id = $1 AND NOT EXISTS (SELECT FROM delivery.leases WHERE worker_id = $1);
