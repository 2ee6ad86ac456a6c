"""The parts of a worker, one role per file.

A job passes through the consumer of the queue (`delivery.queue.consumer`), which claims it;
`intake`, which loads its call or settles it if it must not run; `executor`, which runs it in a task
with a runner of `runners`; and the settler of `settling`, which writes its result. `fan_out` writes
triggers with their jobs before that.

The background roles run in a `RoleGroup`: `heartbeat`, `lease_audit`, `reaper`, `endpoint_health`,
`announcements`, `maintenance` and, in every engine, `watch`. `worker` connects all parts, and
starts and stops them. The parts inform each other and the user through the bus of `events`; calls
that happen for every delivery are direct.
"""
