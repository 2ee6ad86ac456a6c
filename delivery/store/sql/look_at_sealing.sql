-- How many reactions hold secrets sealed with which key: `sealed:1:` and the key's name, or nothing where
-- they are not sealed.
SELECT coalesce(substring(given.secret FROM '^sealed:1:([0-9a-f]+):'), '') AS label, count(*) AS held
FROM (
    SELECT json_array_elements(signing::json) ->> 'secret' AS secret
    FROM delivery.reactions
    WHERE state <> 'deleted'
    UNION ALL
    SELECT reaction_versions.credentials
    FROM delivery.reactions
    JOIN delivery.reaction_versions
        ON reaction_versions.reaction_id = reactions.id AND reaction_versions.version = reactions.version
    WHERE reactions.state <> 'deleted' AND reaction_versions.credentials <> '{}'
) AS given
GROUP BY label
ORDER BY label;
