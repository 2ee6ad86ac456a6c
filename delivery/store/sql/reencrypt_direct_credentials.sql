-- Replaces how direct jobs are stored; what they mean stays the same.
UPDATE delivery.direct_jobs
SET params = given.params, credentials = given.credentials
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS given (id, params, credentials)
WHERE direct_jobs.id = given.id
RETURNING given.id;
