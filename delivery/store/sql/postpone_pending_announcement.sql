-- Postpones an announcement that could not be written: by a second, doubled each time, up to an hour.
--
-- $1 type text: event type
-- $2 subject uuid: job or reaction
UPDATE delivery.pending_announcements
SET tries = tries + 1, next_at = now() + least(interval '1 hour', interval '1 second' * 2.0 ^ least(tries, 12))
WHERE type = $1 AND subject = $2;
