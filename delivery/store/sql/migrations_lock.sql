-- Lets one program migrate at a time; the lock ends with the transaction. The number is "delivery" in ASCII, as eight
-- bytes.
SELECT pg_advisory_xact_lock(7234307576654295673);
