-- The first failures of a job say little about its endpoint: the circuit breaker counts them apart.

ALTER TABLE delivery.reaction_health ADD COLUMN early integer NOT NULL DEFAULT 0;

COMMENT ON COLUMN delivery.reaction_health.early IS
    'How many of the failures in a row were the first or second of their job';
