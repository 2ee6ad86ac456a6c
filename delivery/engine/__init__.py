"""The four hands a job passes through, and those who keep house: one role a file.

`fan_out` writes triggers and jobs, `dispatcher` claims, `sender` makes the calls, `settler` writes
what happened; `heartbeat` and `reaper` see to dead workers, `keeper` to partitions, `listener`
wakes the dispatcher, and `worker` wires them together, starts them, and stops them gracefully.

What they decide is decided in pure functions: `lanes` (which lane is given how much), `results`
(what is recorded), and `delivery.policy`.
"""
