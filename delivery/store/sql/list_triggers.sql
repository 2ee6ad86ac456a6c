-- Lists triggers, newest first, without their jobs.
--
-- $1 tenant_id text: tenant of the triggers
-- $2 after_id uuid: last trigger of the previous page; NULL: first page
-- $3 event_type text: their event type; NULL: any
-- $4 max_rows bigint: maximum number of triggers
SELECT
    triggers.id,
    triggers.tenant_id,
    triggers.type,
    triggers.payload,
    triggers.created_at,
    '{}'::uuid[] AS jobs
FROM delivery.triggers
WHERE triggers.tenant_id = $1
    AND ($2::uuid IS NULL OR triggers.id < $2)
    AND ($3::text IS NULL OR triggers.type = $3)
ORDER BY triggers.id DESC
LIMIT $4;
