-- How many jobs of each of these triggers have each status. The jobs of one trigger lie in one range.
SELECT asked.id AS trigger_id, jobs.status, count(*) AS jobs
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS asked (id, first, last)
CROSS JOIN LATERAL (
    SELECT shown_jobs.status
    FROM delivery.shown_jobs
    WHERE shown_jobs.id BETWEEN asked.first AND asked.last
        AND shown_jobs.trigger_id = asked.id
        AND shown_jobs.tenant_id = $4
    -- Keeps this from becoming a join that reads all jobs.
    OFFSET 0
) AS jobs
GROUP BY asked.id, jobs.status;
