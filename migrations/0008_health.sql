-- How reactions stand whose endpoints are in trouble. Only those whose last calls failed have a row, so that
-- for all others nothing is written. Times are in seconds since the epoch.
CREATE TABLE delivery.reaction_health (
    reaction_id uuid PRIMARY KEY REFERENCES delivery.reactions ON DELETE CASCADE,
    failures integer NOT NULL,
    failing_since float8,
    throttles integer NOT NULL,
    openings integer NOT NULL,
    paused_until float8 NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

COMMENT ON COLUMN delivery.reaction_health.failures IS 'Failed calls in a row';
COMMENT ON COLUMN delivery.reaction_health.throttles IS
    'How often in a row the reaction was paused because its endpoint asked for less';
COMMENT ON COLUMN delivery.reaction_health.openings IS
    'How often in a row the circuit opened; 0: it is closed. See policy/health.py';

-- A lane that is paused is held back like one that is at its limit: claims leave it out, and one that looks
-- at limits decides.
ALTER TABLE delivery.lane_limits
    ADD COLUMN paused_until float8 NOT NULL DEFAULT 0,
    ADD COLUMN probing boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN delivery.lane_limits.probing IS 'Whether one call at a time tries if the endpoint is back';

ALTER TABLE delivery.reactions ADD COLUMN live boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN delivery.reactions.live IS
    'Whether jobs run with the newest version, rather than with the one they were made with';
