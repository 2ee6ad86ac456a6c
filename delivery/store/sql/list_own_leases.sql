SELECT id FROM delivery.leases WHERE worker_id = $1;
