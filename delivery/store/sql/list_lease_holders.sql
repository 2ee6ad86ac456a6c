-- Who holds leases, and when each was last seen (NULL: never registered). A standby may lag behind.
SELECT holders.worker_id, workers.seen_at,
    current_setting('transaction_read_only') = 'on' AS is_read_only
FROM (SELECT DISTINCT worker_id FROM delivery.leases) AS holders
LEFT JOIN delivery.workers ON workers.id = holders.worker_id;
