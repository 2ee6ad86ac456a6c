-- Finds triggers by the first or last digits of their ids, newest first.
--
-- $1 tenant_id text: tenant of the triggers
-- $2 first_id uuid: smallest id that begins with the digits
-- $3 last_id uuid: greatest id that begins with the digits
-- $4 digits text: the digits, hexadecimal
-- $5 searched bigint: number of the newest triggers of all tenants to search for either end
-- $6 max_found bigint: maximum number of ids to return
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
