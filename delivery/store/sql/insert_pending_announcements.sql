-- Records announcements of one type to be written later.
--
-- $1 type text: event type
-- $2 subjects uuid[]: jobs or reactions, depending on the type
-- $3 reasons text[]: reason for each; NULL: none
INSERT INTO delivery.pending_announcements (type, subject, reason)
SELECT $1, given.subject, given.reason
FROM unnest($2::uuid[], $3::text[]) AS given (subject, reason)
ON CONFLICT (type, subject) DO NOTHING;
