-- Writes the next version of a reaction, unless it has changed since it was read, and increments the version of the
-- tenant's catalog. Limits and signing secrets take effect immediately, for older jobs too. The health of the endpoint
-- is deleted, because the reaction may now call another endpoint.
--
-- $1 reaction_id uuid: the reaction
-- $2 tenant_id text: its tenant
-- $3 read_version integer: version at which it was read
-- $4 area_id text: automation that it belongs to; NULL: none
-- $5 name text: its name
-- $6 event_types text[]: patterns of event types
-- $7 condition text: JMESPath expression; NULL: none
-- $8 priority smallint: default priority of its jobs
-- $9 state text: enabled or disabled
-- $10 state_reason text: reason of the state; NULL: none
-- $11 metadata jsonb: object of strings for the use of the caller
-- $12 params text: JSON of its request, without secrets
-- $13 credentials text: encrypted secrets of its request
-- $14 max_attempts integer: maximum number of attempts
-- $15 signing text: encrypted signing secrets; NULL: unchanged
-- $16 read_signing_version integer: version of the signing secrets that $15 replaces
-- $17 live boolean: true if jobs run with the current version
-- $18 concurrency integer: maximum number of concurrent calls; NULL: no limit
-- $19 rate_limit integer: maximum number of calls per period; NULL: no limit
-- $20 rate_period float8: the period in seconds; NULL without a rate limit
-- $21 ordered boolean: true if its jobs run one at a time, in order
WITH reaction AS (
    UPDATE delivery.reactions
    SET
        area_id = $4, name = $5, event_types = $6, condition = $7, priority = $8, state = $9, state_reason = $10,
        metadata = $11, version = version + 1, live = $17, updated_at = now(),
        signing = coalesce($15, signing),
        signing_version = CASE WHEN $15::text IS NULL THEN signing_version ELSE signing_version + 1 END
    WHERE id = $1 AND tenant_id = $2 AND version = $3 AND state <> 'deleted'
        AND ($15::text IS NULL OR signing_version = $16::integer)
    RETURNING *
),
new_catalog_version AS (
    INSERT INTO delivery.catalogs (tenant_id, version)
    SELECT tenant_id, 1 FROM reaction
    ON CONFLICT (tenant_id) DO UPDATE SET version = catalogs.version + 1
),
new_version AS (
    INSERT INTO delivery.reaction_versions (reaction_id, version, params, credentials, max_attempts)
    SELECT id, version, $12, $13, $14::integer FROM reaction
    RETURNING params, credentials
),
new_limits AS (
    INSERT INTO delivery.lane_limits (lane, concurrency, rate_limit, rate_period, ordered)
    SELECT id, $18::integer, $19::integer, $20::float8, $21::boolean
    FROM reaction
    WHERE $18 IS NOT NULL OR $19 IS NOT NULL OR $21
    ON CONFLICT (lane) DO UPDATE SET
        concurrency = excluded.concurrency, rate_limit = excluded.rate_limit,
        rate_period = excluded.rate_period, ordered = excluded.ordered,
        paused_until = 0, probing = false,
        next_at = CASE
            WHEN (lane_limits.rate_limit, lane_limits.rate_period)
                IS NOT DISTINCT FROM (excluded.rate_limit, excluded.rate_period)
                THEN lane_limits.next_at
            -- The usage of the old rate says nothing about the new rate.
            ELSE 0
        END
),
deleted_health AS (
    DELETE FROM delivery.reaction_health WHERE reaction_id IN (SELECT id FROM reaction)
),
deleted_limits AS (
    DELETE FROM delivery.lane_limits
    WHERE lane IN (SELECT id FROM reaction) AND $18 IS NULL AND $19 IS NULL AND NOT $21
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
