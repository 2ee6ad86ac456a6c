"""Tests of the engine, against a real PostgreSQL and real sockets."""
