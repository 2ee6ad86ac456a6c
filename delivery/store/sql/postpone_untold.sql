-- Puts off own triggers that could not be written again: by a second, doubled each time, up to an hour.
UPDATE delivery.untold
SET tries = tries + 1, next_at = now() + least(interval '1 hour', interval '1 second' * 2.0 ^ least(tries, 12))
WHERE type = $1 AND subject = $2;
