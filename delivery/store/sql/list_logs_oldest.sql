SELECT *
FROM delivery.shown_logs
WHERE tenant_id = $1
    AND ($2::uuid IS NULL OR id > $2)
    AND ($3::uuid IS NULL OR job_id = $3)
    AND ($4::uuid IS NULL OR trigger_id = $4)
    AND ($5::uuid IS NULL OR reaction_id = $5)
    AND ($6::text IS NULL OR outcome = $6)
    AND ($7::integer IS NULL OR status_code = $7)
ORDER BY id ASC
LIMIT $8;
