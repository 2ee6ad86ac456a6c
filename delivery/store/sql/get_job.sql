SELECT * FROM delivery.shown_jobs WHERE id = $1 AND tenant_id = $2;
