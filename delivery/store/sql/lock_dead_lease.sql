-- Locks one lease of a worker that has not been seen since it was observed ($2), against its settling;
-- leases that were refused before ($3) are left out.
SELECT leases.id
FROM delivery.leases
LEFT JOIN delivery.workers ON workers.id = leases.worker_id
WHERE leases.worker_id = $1 AND workers.seen_at IS NOT DISTINCT FROM $2::timestamptz
    AND leases.id <> ALL ($3::uuid[])
LIMIT 1
FOR UPDATE OF leases SKIP LOCKED;
