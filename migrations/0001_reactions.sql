-- Reactions (webhook endpoints), their versions, and the health of their endpoints.

CREATE TABLE delivery.reactions (
    id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    area_id text,
    name text NOT NULL,
    event_types text[] NOT NULL,
    condition text,
    priority smallint NOT NULL CHECK (priority >= 0),
    state text NOT NULL CHECK (state IN ('enabled', 'disabled', 'deleted')),
    state_reason text,
    version integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    live boolean NOT NULL DEFAULT false,
    signing text NOT NULL DEFAULT '[]',
    signing_version integer NOT NULL DEFAULT 1,
    metadata jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object')
);

CREATE INDEX reactions_by_tenant ON delivery.reactions (tenant_id, id);

COMMENT ON TABLE delivery.reactions IS 'Current state of each reaction; its HTTP request is in reaction_versions';
COMMENT ON COLUMN delivery.reactions.live IS
    'True if jobs run with the current version, false if they run with the version at their creation';
COMMENT ON COLUMN delivery.reactions.signing IS
    'JSON list of the signing secrets, newest first: each secret is encrypted, its kind and expiry are not.'
    ' Secrets belong to the reaction, not to a version, so that a new secret also signs requests of older jobs';
COMMENT ON COLUMN delivery.reactions.signing_version IS
    'Number of changes of signing; workers cache signers by this number';
COMMENT ON COLUMN delivery.reactions.metadata IS 'JSON object of strings for the use of the caller';

CREATE TABLE delivery.reaction_versions (
    reaction_id uuid NOT NULL REFERENCES delivery.reactions,
    version integer NOT NULL,
    params text NOT NULL,
    credentials text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    max_attempts integer NOT NULL,
    PRIMARY KEY (reaction_id, version)
);

COMMENT ON TABLE delivery.reaction_versions IS
    'HTTP request and retry policy of each version of a reaction. Rows never change, so workers cache them';
COMMENT ON COLUMN delivery.reaction_versions.params IS 'JSON of HttpParams; each secret in it is ***';
COMMENT ON COLUMN delivery.reaction_versions.credentials IS
    'Encrypted JSON of the parts of HttpParams that are redacted in params; {} if there are none';
COMMENT ON COLUMN delivery.reaction_versions.max_attempts IS
    'From the retry policy in params, in a separate column so that no statement has to parse params';

CREATE TABLE delivery.catalogs (
    tenant_id text PRIMARY KEY,
    version bigint NOT NULL
);

COMMENT ON TABLE delivery.catalogs IS
    'Number of changes of the reactions of each tenant. A producer matches triggers against a copy of the'
    ' reactions; fan-out writes only if the version of this copy is current';

CREATE TABLE delivery.reaction_health (
    reaction_id uuid PRIMARY KEY REFERENCES delivery.reactions ON DELETE CASCADE,
    failures integer NOT NULL,
    failing_since float8,
    throttles integer NOT NULL,
    openings integer NOT NULL,
    paused_until float8 NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    early integer NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

COMMENT ON TABLE delivery.reaction_health IS
    'Circuit breakers of failing endpoints. A healthy reaction has no row, so its calls write nothing here.'
    ' Times are in seconds since the epoch';
COMMENT ON COLUMN delivery.reaction_health.failures IS 'Number of consecutive failed calls';
COMMENT ON COLUMN delivery.reaction_health.throttles IS
    'Number of consecutive pauses that the endpoint asked for with 429 or Retry-After';
COMMENT ON COLUMN delivery.reaction_health.openings IS
    'Number of consecutive openings of the circuit; 0: the circuit is closed. See policy/endpoint_health.py';
COMMENT ON COLUMN delivery.reaction_health.early IS
    'Number of consecutive failures that were the first or second attempt of their job. They say little about the'
    ' endpoint, so the circuit breaker counts them separately';
