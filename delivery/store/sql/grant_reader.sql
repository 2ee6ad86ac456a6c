SELECT delivery.grant_reader($1);
