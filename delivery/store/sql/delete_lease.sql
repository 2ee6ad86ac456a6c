-- Deletes a lease.
--
-- $1 lease_id uuid: the lease
DELETE FROM delivery.leases WHERE id = $1;
