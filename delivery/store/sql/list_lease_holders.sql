-- Lists the holders of leases with the time of their last heartbeat (NULL: never registered), and if the session is
-- read-only, since the heartbeats on a standby may be old.
SELECT holders.worker_id, workers.seen_at,
    current_setting('transaction_read_only') = 'on' AS is_read_only
FROM (SELECT DISTINCT worker_id FROM delivery.leases) AS holders
LEFT JOIN delivery.workers ON workers.id = holders.worker_id;
