-- How many workers have renewed their heartbeat within this many seconds.
SELECT count(*) FROM delivery.workers WHERE seen_at > clock_timestamp() - make_interval(secs => $1);
