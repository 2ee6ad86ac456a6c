-- Limits that hold over all workers together. Only lanes that have one stand here, so that a claim of
-- any other lane costs one look into an index.
CREATE TABLE delivery.lane_limits (
    lane uuid PRIMARY KEY,
    concurrency integer,
    rate_limit integer,
    rate_period float8,
    ordered boolean NOT NULL,
    next_at float8 NOT NULL DEFAULT 0
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

COMMENT ON COLUMN delivery.lane_limits.next_at IS
    'When the next call would be due at even intervals, in seconds since the epoch; see policy/limits.py';

-- The claimed jobs of lanes with a limit: counted by claims, which hold the lane's row of lane_limits
-- locked meanwhile, and removed by whoever settles the claim.
CREATE TABLE delivery.held_slots (
    job_id uuid PRIMARY KEY,
    lane uuid NOT NULL,
    claim integer NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000);

CREATE INDEX held_slots_by_lane ON delivery.held_slots (lane);

-- Until now a reaction's concurrency was kept by each process for itself.
INSERT INTO delivery.lane_limits (lane, concurrency, ordered)
SELECT reactions.id, (reaction_versions.params::json ->> 'concurrency')::integer, false
FROM delivery.reactions
JOIN delivery.reaction_versions
    ON reaction_versions.reaction_id = reactions.id AND reaction_versions.version = reactions.version
WHERE reactions.state <> 'deleted' AND reaction_versions.params::json ->> 'concurrency' IS NOT NULL;
