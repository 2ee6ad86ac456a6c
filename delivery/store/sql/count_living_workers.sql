-- Counts the workers with a recent heartbeat.
--
-- $1 max_age float8: seconds since the heartbeat
SELECT count(*) FROM delivery.workers WHERE seen_at > clock_timestamp() - make_interval(secs => $1);
