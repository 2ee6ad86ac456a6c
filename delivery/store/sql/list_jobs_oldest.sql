SELECT *
FROM delivery.shown_jobs
WHERE tenant_id = $1
    AND ($2::uuid IS NULL OR id > $2)
    AND ($3::text IS NULL OR status = $3)
    AND ($4::uuid IS NULL OR reaction_id = $4)
    AND ($5::uuid IS NULL OR id >= $5)
    AND ($6::uuid IS NULL OR id <= $6)
ORDER BY id ASC
LIMIT $7;
