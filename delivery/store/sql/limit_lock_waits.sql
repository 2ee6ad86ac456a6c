-- Makes the statements of the transaction fail if they wait for a lock longer than 200 ms.
SELECT set_config('lock_timeout', '200ms', true);
