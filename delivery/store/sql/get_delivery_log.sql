-- Returns one delivery log.
--
-- $1 log_id uuid: the log
-- $2 tenant_id text: its tenant
SELECT * FROM delivery.logs_with_body WHERE id = $1 AND tenant_id = $2;
