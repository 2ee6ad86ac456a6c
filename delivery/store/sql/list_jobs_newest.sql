-- Lists jobs by creation time, newest first.
--
-- $1 tenant_id text: tenant of the jobs
-- $2 after_id uuid: last job of the previous page; NULL: first page
-- $3 status text: status of the jobs; NULL: any
-- $4 reaction_id uuid: their reaction; NULL: any
-- $5 first_id uuid: smallest id; NULL: no bound
-- $6 last_id uuid: greatest id; NULL: no bound
-- $7 max_rows bigint: maximum number of jobs
SELECT *
FROM delivery.jobs_with_lease
WHERE tenant_id = $1
    AND ($2::uuid IS NULL OR id < $2)
    AND ($3::text IS NULL OR status = $3)
    AND ($4::uuid IS NULL OR reaction_id = $4)
    AND ($5::uuid IS NULL OR id >= $5)
    AND ($6::uuid IS NULL OR id <= $6)
ORDER BY id DESC
LIMIT $7;
