-- Lists direct jobs with their requests as stored, in the order of their ids.
--
-- $1 after_id uuid: job of the cursor
-- $2 max_rows bigint: maximum number of jobs
SELECT id, 0 AS version, params, credentials
FROM delivery.direct_jobs
WHERE id > $1
ORDER BY id
LIMIT $2;
