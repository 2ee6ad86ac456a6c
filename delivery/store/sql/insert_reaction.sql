-- Writes an enabled reaction with its first version and limits, and increments the version of the tenant's catalog.
--
-- $1 reaction_id uuid: id of the reaction
-- $2 tenant_id text: its tenant
-- $3 area_id text: automation that it belongs to; NULL: none
-- $4 name text: its name
-- $5 event_types text[]: patterns of event types
-- $6 condition text: JMESPath expression; NULL: none
-- $7 priority smallint: default priority of its jobs
-- $8 metadata jsonb: object of strings for the use of the caller
-- $9 params text: JSON of its request, without secrets
-- $10 credentials text: encrypted secrets of its request
-- $11 max_attempts integer: maximum number of attempts
-- $12 signing text: encrypted signing secrets
-- $13 live boolean: true if jobs run with the current version
-- $14 concurrency integer: maximum number of concurrent calls; NULL: no limit
-- $15 rate_limit integer: maximum number of calls per period; NULL: no limit
-- $16 rate_period float8: the period in seconds; NULL without a rate limit
-- $17 ordered boolean: true if its jobs run one at a time, in order
WITH new_catalog_version AS (
    INSERT INTO delivery.catalogs (tenant_id, version)
    VALUES ($2, 1)
    ON CONFLICT (tenant_id) DO UPDATE SET version = catalogs.version + 1
),
reaction AS (
    INSERT INTO delivery.reactions (
        id, tenant_id, area_id, name, event_types, condition, priority, state, version, metadata, signing, live
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, 'enabled', 1, $8, $12, $13)
    RETURNING *
),
new_version AS (
    INSERT INTO delivery.reaction_versions (reaction_id, version, params, credentials, max_attempts)
    SELECT id, version, $9, $10, $11::integer FROM reaction
    RETURNING params, credentials
),
new_limits AS (
    INSERT INTO delivery.lane_limits (lane, concurrency, rate_limit, rate_period, ordered)
    SELECT id, $14::integer, $15::integer, $16::float8, $17::boolean
    FROM reaction
    WHERE $14 IS NOT NULL OR $15 IS NOT NULL OR $17
)
SELECT
    reaction.id,
    reaction.tenant_id,
    reaction.area_id,
    reaction.name,
    reaction.event_types,
    reaction.condition,
    reaction.priority,
    reaction.state,
    reaction.state_reason,
    reaction.version,
    reaction.created_at,
    reaction.updated_at,
    reaction.signing,
    reaction.signing_version,
    reaction.metadata,
    new_version.params,
    new_version.credentials
FROM reaction, new_version;
