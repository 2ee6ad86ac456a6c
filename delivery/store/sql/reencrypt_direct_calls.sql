-- Replaces the stored form of the requests of direct jobs; the requests remain the same.
--
-- $1 job_ids uuid[]: direct jobs
-- $2 params text[]: JSON of each request, without secrets
-- $3 credentials text[]: encrypted secrets of each request
UPDATE delivery.direct_jobs
SET params = given.params, credentials = given.credentials
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS given (id, params, credentials)
WHERE direct_jobs.id = given.id
RETURNING given.id;
