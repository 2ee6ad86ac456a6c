"""Reads and writes of PostgreSQL; the only room that imports asyncpg.

Each module covers one table or concern, and each file in `sql/` has one statement. The functions
take a pool or a connection and plain values, return dataclasses, hold no state and make no
decisions.
"""
