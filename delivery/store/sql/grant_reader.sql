-- Grants a role the right to read everything.
--
-- $1 role text: name of the role
SELECT delivery.grant_reader($1);
