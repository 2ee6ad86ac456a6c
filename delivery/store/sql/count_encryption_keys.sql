-- Count secrets of reactions by the label of their key (in `encrypted:1:label:`), which is empty if they are not
-- encrypted. Looks for the labels in the text rather than parsing it as JSON: one row that is not JSON
-- would keep every worker from starting.
SELECT label, count(*) AS held
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
) AS given
GROUP BY label
ORDER BY label;
