-- Tells if the session takes no writes, as on a standby.
SELECT current_setting('transaction_read_only') = 'on';
