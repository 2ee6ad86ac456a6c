-- Ids between $2 and $3, and ids among the newest $5 that end in the hex digits $4.
SELECT found.id
FROM (
    (
        SELECT id, tenant_id
        FROM delivery.triggers
        WHERE id BETWEEN $2 AND $3
        ORDER BY id DESC
        LIMIT $5
    )
    UNION
    (
        SELECT newest.id, newest.tenant_id
        FROM (SELECT id, tenant_id FROM delivery.triggers ORDER BY id DESC LIMIT $5) AS newest
        WHERE right(replace(newest.id::text, '-', ''), length($4::text)) = $4
    )
) AS found
WHERE found.tenant_id = $1
ORDER BY found.id DESC
LIMIT $6;
