-- The next $2 direct jobs after $1, as they are stored.
SELECT id, 0 AS version, params, credentials
FROM delivery.direct_jobs
WHERE id > $1
ORDER BY id
LIMIT $2;
