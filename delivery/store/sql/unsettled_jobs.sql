-- Returns the jobs of a lease whose claim was never settled. Run it after the lease is locked, as a separate statement:
-- its snapshot must be newer than any settlement committed before the lock.
--
-- $1 lease_id uuid: the locked lease
SELECT
    jobs.id AS job_id,
    leased.claim,
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
CROSS JOIN LATERAL unnest(leases.job_ids, leases.claims) AS leased (job_id, claim)
JOIN delivery.jobs ON jobs.id = leased.job_id AND jobs.claims < leased.claim
LEFT JOIN delivery.direct_jobs ON direct_jobs.id = jobs.id AND jobs.reaction_id IS NULL
LEFT JOIN delivery.reaction_versions
    ON reaction_versions.reaction_id = jobs.reaction_id AND reaction_versions.version = jobs.reaction_version
WHERE leases.id = $1;
