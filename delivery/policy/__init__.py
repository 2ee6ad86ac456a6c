"""What is decided about triggers and attempts, as pure functions: no I/O, clock or randomness.

`matching` and `conditions` say which reactions a trigger concerns, `outcome` what an attempt
led to, `retry` and `retry_after` when the next one is due, and `stall` what becomes of a job whose
worker died.
"""
