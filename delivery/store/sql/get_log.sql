SELECT * FROM delivery.shown_logs WHERE id = $1 AND tenant_id = $2;
