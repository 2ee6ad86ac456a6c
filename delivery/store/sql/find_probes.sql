-- Finds the job of each lane with which to test if its endpoint works again: of the first due jobs, the job with the
-- most claims. A new job would tell less, since some endpoints fail the first attempts of every job.
--
-- $1 lanes uuid[]: lanes of failing endpoints
SELECT given.lane, candidate.priority, extract(epoch FROM candidate.run_at)::float8 AS run_at
FROM unnest($1::uuid[]) AS given (lane)
CROSS JOIN LATERAL (
    SELECT first_due.priority, first_due.run_at, first_due.claim
    FROM (
        SELECT waiting_jobs.priority, waiting_jobs.run_at, waiting_jobs.claim
        FROM delivery.waiting_jobs
        WHERE waiting_jobs.lane = given.lane AND waiting_jobs.run_at <= now()
        ORDER BY waiting_jobs.priority, waiting_jobs.run_at
        LIMIT 10000
    ) AS first_due
    WHERE first_due.claim > 1
    ORDER BY first_due.claim DESC, first_due.priority, first_due.run_at
    LIMIT 1
) AS candidate;
