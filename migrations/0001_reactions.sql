-- Reactions: what to do about triggers.
--
-- `reactions` holds what is current and may change; `reaction_versions` what was to be sent at each
-- version, which never changes, so that a job runs as it was made and workers may cache by version.

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
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX reactions_by_tenant ON delivery.reactions (tenant_id, id);

CREATE TABLE delivery.reaction_versions (
    reaction_id uuid NOT NULL REFERENCES delivery.reactions,
    version integer NOT NULL,
    params text NOT NULL,
    credentials text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (reaction_id, version)
);

COMMENT ON COLUMN delivery.reaction_versions.params IS 'JSON of HttpParams without its credentials';
COMMENT ON COLUMN delivery.reaction_versions.credentials IS 'JSON: signing secrets and the TLS client key';

-- One row a tenant; its version grows with every change of the tenant's reactions. A producer matches
-- against its own copy of the reactions, and the fan-out statement writes only if that copy is current.
CREATE TABLE delivery.catalogs (
    tenant_id text PRIMARY KEY,
    version bigint NOT NULL
);
