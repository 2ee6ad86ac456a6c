-- Deletes a pending announcement before it is written in the same transaction: only one of several workers finds it.
--
-- $1 type text: event type
-- $2 subject uuid: job or reaction
DELETE FROM delivery.pending_announcements WHERE type = $1 AND subject = $2 RETURNING subject;
