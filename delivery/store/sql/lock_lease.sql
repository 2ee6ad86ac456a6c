SELECT id FROM delivery.leases WHERE id = $1 AND worker_id = $2 FOR UPDATE;
