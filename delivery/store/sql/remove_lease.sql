DELETE FROM delivery.leases WHERE id = $1;
