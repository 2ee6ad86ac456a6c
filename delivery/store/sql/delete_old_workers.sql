-- Deletes workers without a heartbeat for a day and without leases.
DELETE FROM delivery.workers
WHERE seen_at < now() - interval '1 day'
    AND NOT EXISTS (SELECT FROM delivery.leases WHERE worker_id = workers.id);
