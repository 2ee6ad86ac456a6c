-- Locks one lease of a worker that has sent no heartbeat since it was last observed, so that no result of the worker
-- can be settled.
--
-- $1 worker_id uuid: the worker
-- $2 seen_at timestamptz: its last heartbeat when it was observed; NULL: never registered
-- $3 excluded_leases uuid[]: leases to leave out
SELECT leases.id
FROM delivery.leases
LEFT JOIN delivery.workers ON workers.id = leases.worker_id
WHERE leases.worker_id = $1 AND workers.seen_at IS NOT DISTINCT FROM $2::timestamptz
    AND leases.id <> ALL ($3::uuid[])
LIMIT 1
FOR UPDATE OF leases SKIP LOCKED;
