-- Returns the usage of the server's notification queue, from 0 to 1. Reading it also lets the server reuse the part
-- that all listeners have read, which NOTIFY does not do once the queue is full.
SELECT pg_notification_queue_usage()::float8;
