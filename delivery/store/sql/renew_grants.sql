-- Grants the rights to new objects to the roles that have rights.
SELECT delivery.renew_grants();
