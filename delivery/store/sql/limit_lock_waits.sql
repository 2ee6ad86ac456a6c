-- Lets the statements of this transaction fail that wait for a lock longer than 200 ms.
SELECT set_config('lock_timeout', '200ms', true);
