-- Returns one job.
--
-- $1 job_id uuid: the job
-- $2 tenant_id text: its tenant
SELECT * FROM delivery.jobs_with_lease WHERE id = $1 AND tenant_id = $2;
