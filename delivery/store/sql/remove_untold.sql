-- Removes a noted trigger, before it is written in the same transaction: of several workers one finds it.
DELETE FROM delivery.untold WHERE type = $1 AND subject = $2 RETURNING subject;
