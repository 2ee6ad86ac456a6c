-- Creates the schema.
CREATE SCHEMA IF NOT EXISTS delivery;
