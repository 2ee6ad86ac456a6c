-- Counts the jobs of each trigger by status. The ids of the jobs of a trigger are one range.
--
-- $1 trigger_ids uuid[]: triggers
-- $2 first_jobs uuid[]: smallest possible id of the jobs of each
-- $3 last_jobs uuid[]: greatest possible id of the jobs of each
-- $4 tenant_id text: their tenant
SELECT given.id AS trigger_id, jobs.status, count(*) AS jobs
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS given (id, first, last)
CROSS JOIN LATERAL (
    SELECT jobs_with_lease.status
    FROM delivery.jobs_with_lease
    WHERE jobs_with_lease.id BETWEEN given.first AND given.last
        AND jobs_with_lease.trigger_id = given.id
        AND jobs_with_lease.tenant_id = $4
    -- OFFSET 0 prevents a join that reads all jobs.
    OFFSET 0
) AS jobs
GROUP BY given.id, jobs.status;
