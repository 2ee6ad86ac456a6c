-- How full the server's notification queue is, from 0 to 1. Looking also lets the server reuse what all listeners
-- have read, which NOTIFY does not do once the queue is full.
SELECT pg_notification_queue_usage()::float8;
