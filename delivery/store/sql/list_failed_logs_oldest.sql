-- Lists delivery logs with an outcome other than `succeeded` by creation time, oldest first. The condition on the
-- outcome is a literal, so that every plan can use the index of failures.
--
-- $1 tenant_id text: tenant of the logs
-- $2 after_id uuid: last log of the previous page; NULL: first page
-- $3 job_id uuid: their job; NULL: any
-- $4 trigger_id uuid: their trigger; NULL: any
-- $5 reaction_id uuid: their reaction; NULL: any
-- $6 outcome text: their outcome, not `succeeded`
-- $7 status_code integer: status of their response; NULL: any
-- $8 max_rows bigint: maximum number of logs
SELECT *
FROM delivery.logs_with_body
WHERE tenant_id = $1
    AND ($2::uuid IS NULL OR id > $2)
    AND ($3::uuid IS NULL OR job_id = $3)
    AND ($4::uuid IS NULL OR trigger_id = $4)
    AND ($5::uuid IS NULL OR reaction_id = $5)
    AND outcome <> 'succeeded'
    AND outcome = $6
    AND ($7::integer IS NULL OR status_code = $7)
ORDER BY id ASC
LIMIT $8;
