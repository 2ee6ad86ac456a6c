-- Who holds leases, and when each was last seen (NULL: never registered).
SELECT holders.worker_id, workers.seen_at
FROM (SELECT DISTINCT worker_id FROM delivery.leases) AS holders
LEFT JOIN delivery.workers ON workers.id = holders.worker_id;
