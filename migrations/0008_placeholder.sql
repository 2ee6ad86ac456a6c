-- Keeps the number free for the migration that is merged before this one.
SELECT 1;
