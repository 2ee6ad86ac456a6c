-- Notifies listening workers. The commit does not wait for the disk, because a notification does not survive a crash of
-- the server anyway.
--
-- $1 payload text: content of the notification
SELECT pg_notify('delivery_wake', $1), set_config('synchronous_commit', 'off', true);
