-- Own triggers of the engine that could not be written in the transaction of what they announce. Workers
-- write them later and delete the row. The table is empty unless something is wrong.
CREATE TABLE delivery.untold (
    type text NOT NULL,
    subject uuid NOT NULL,
    reason text,
    tries integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (type, subject)
);

COMMENT ON COLUMN delivery.untold.subject IS 'The job or the reaction, depending on the type';
