-- Returns the number of days after today for which all record tables have partitions without a gap; -1 if a partition
-- of today is missing.
--
-- $1 max_days integer: number of days to check
SELECT coalesce(min(days.n), $1 + 1) - 1
FROM generate_series(0, $1::integer) AS days (n)
CROSS JOIN unnest(ARRAY['triggers', 'jobs', 'direct_jobs', 'delivery_logs']) AS parents (name)
WHERE NOT EXISTS (
    SELECT FROM pg_inherits
    JOIN pg_class AS child ON child.oid = inhrelid
    WHERE inhparent = ('delivery.' || parents.name)::regclass
        AND child.relname = parents.name || '_'
            || to_char((now() AT TIME ZONE 'UTC')::date + days.n, 'YYYYMMDD')
);
