-- The transitions are checked after the update: a trigger before it locks every row first, which costs a
-- record in the WAL for each, and refuses no other ones.
DROP TRIGGER legal_transitions ON delivery.jobs;

CREATE TRIGGER legal_transitions AFTER UPDATE OF status ON delivery.jobs
    FOR EACH ROW
    WHEN (
        OLD.status <> NEW.status
        AND NOT (
            OLD.status IN ('queued', 'retrying')
            OR (OLD.status = 'suspended' AND NEW.status IN ('queued', 'canceled', 'skipped', 'failed'))
        )
    )
    EXECUTE FUNCTION delivery.refuse_transition();
