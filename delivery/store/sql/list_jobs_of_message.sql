-- Lists the jobs that send a message: its first job, whose id the message has, and redeliveries of it.
--
-- $1 tenant_id text: tenant of the jobs
-- $2 message_id uuid: the message
-- $3 after_id uuid: last job of the previous page; NULL: first page
-- $4 status text: status of the jobs; NULL: any
-- $5 reaction_id uuid: their reaction; NULL: any
-- $6 trigger_id uuid: their trigger; NULL: any
-- $7 oldest_first boolean: true for oldest first, false for newest first
-- $8 max_rows bigint: maximum number of jobs
WITH jobs_of_message AS MATERIALIZED (
    SELECT id FROM delivery.jobs WHERE id = $2::uuid AND message_id = $2::uuid
    UNION ALL
    SELECT id FROM delivery.jobs WHERE message_id = $2::uuid AND message_id <> id
)
SELECT *
FROM delivery.jobs_with_lease
WHERE id = ANY (ARRAY(SELECT id FROM jobs_of_message))
    AND tenant_id = $1
    AND ($3::uuid IS NULL OR CASE WHEN $7::boolean THEN id > $3 ELSE id < $3 END)
    AND ($4::text IS NULL OR status = $4)
    AND ($5::uuid IS NULL OR reaction_id = $5)
    AND ($6::uuid IS NULL OR trigger_id = $6)
ORDER BY CASE WHEN $7::boolean THEN id END, id DESC
LIMIT $8;
