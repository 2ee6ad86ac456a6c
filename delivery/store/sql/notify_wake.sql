-- Its commit does not wait for the disk: a notification does not outlive the server anyway.
SELECT pg_notify('delivery_wake', $1), set_config('synchronous_commit', 'off', true);
