SELECT pg_notify('delivery_wake', $1);
