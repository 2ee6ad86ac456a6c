-- The jobs of a lease whose claim was never settled. Run after the lease is locked, as a statement of its
-- own: its snapshot must be newer than any settling that went before the lock.
SELECT
    jobs.id AS job_id,
    held.claim,
    coalesce(jobs.reaction_id, direct_jobs.lane) AS lane,
    jobs.priority,
    jobs.attempt,
    jobs.uncounted,
    jobs.stalls,
    jobs.trigger_id,
    jobs.reaction_id,
    jobs.tenant_id,
    coalesce(reaction_versions.params, direct_jobs.params) AS params
FROM delivery.leases
CROSS JOIN LATERAL unnest(leases.job_ids, leases.claims) AS held (job_id, claim)
JOIN delivery.jobs ON jobs.id = held.job_id AND jobs.claims < held.claim
LEFT JOIN delivery.direct_jobs ON direct_jobs.id = jobs.id AND jobs.reaction_id IS NULL
LEFT JOIN delivery.reaction_versions
    ON reaction_versions.reaction_id = jobs.reaction_id AND reaction_versions.version = jobs.reaction_version
WHERE leases.id = $1;
