SELECT delivery.ensure_partitions($1);
