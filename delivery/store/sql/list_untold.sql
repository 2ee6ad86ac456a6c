-- Own triggers that are still to be written and are due.
SELECT type, subject, reason FROM delivery.untold WHERE next_at <= now() ORDER BY next_at LIMIT $1;
