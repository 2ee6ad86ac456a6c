SELECT delivery.renew_grants();
