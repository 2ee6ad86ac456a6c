-- One program at a time migrates; the lock ends with the transaction. The number is "delivery" as
-- eight bytes of ASCII.
SELECT pg_advisory_xact_lock(7234307576654295673);
