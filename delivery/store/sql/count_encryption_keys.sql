-- Counts the secrets of reactions by the name of their encryption key; the empty name counts secrets that are not
-- encrypted. The names are searched in the text, not in parsed JSON: one row with invalid JSON would prevent every
-- worker from starting.
SELECT label, count(*) AS secrets
FROM (
    SELECT coalesce(found.parts[1], '') AS label
    FROM delivery.reactions
    CROSS JOIN LATERAL regexp_matches(signing, '"secret" ?: ?"(?:encrypted:1:([0-9a-f]+):)?', 'g') AS found (parts)
    WHERE state <> 'deleted'
    UNION ALL
    SELECT coalesce(substring(reaction_versions.credentials FROM '^encrypted:1:([0-9a-f]+):'), '')
    FROM delivery.reactions
    JOIN delivery.reaction_versions
        ON reaction_versions.reaction_id = reactions.id AND reaction_versions.version = reactions.version
    WHERE reactions.state <> 'deleted' AND reaction_versions.credentials <> '{}'
) AS stored_secrets
GROUP BY label
ORDER BY label;
