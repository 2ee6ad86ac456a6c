-- Notes own triggers that are still to be written, for subjects of one type.
INSERT INTO delivery.untold (type, subject, reason)
SELECT $1, given.subject, given.reason
FROM unnest($2::uuid[], $3::text[]) AS given (subject, reason)
ON CONFLICT (type, subject) DO NOTHING;
