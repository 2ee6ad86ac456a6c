-- Triggers, newest first, without their jobs.
SELECT triggers.*, '{}'::uuid[] AS jobs
FROM delivery.triggers
WHERE triggers.tenant_id = $1
    AND ($2::uuid IS NULL OR triggers.id < $2)
    AND ($3::text IS NULL OR triggers.type = $3)
ORDER BY triggers.id DESC
LIMIT $4;
