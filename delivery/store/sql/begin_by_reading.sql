-- Makes SQLAlchemy begin the transaction of a session.
SELECT 1;
