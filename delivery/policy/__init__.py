"""Pure decisions about triggers, jobs and endpoints, without I/O, clock or randomness.

- `matching` and `conditions` select the reactions of a trigger.
- `outcome` decides whether an attempt succeeded, failed or is retried.
- `retry` and `retry_after` compute the time of the next attempt.
- `stall` decides on a job whose worker died.
- `health` tracks failing endpoints, `limits` enforces rate and concurrency limits.
- `rounds` is the fair queue, `own_triggers` the payloads of the engine's own triggers.
"""
