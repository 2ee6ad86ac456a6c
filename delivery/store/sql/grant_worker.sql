-- Grants a role the rights to produce and deliver.
--
-- $1 role text: name of the role
SELECT delivery.grant_worker($1);
