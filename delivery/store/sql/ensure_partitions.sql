-- Creates the missing partitions; returns their number.
--
-- $1 days_ahead integer: number of days after today
SELECT delivery.ensure_partitions($1);
