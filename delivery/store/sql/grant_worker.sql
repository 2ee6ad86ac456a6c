SELECT delivery.grant_worker($1);
