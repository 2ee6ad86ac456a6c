"""The four hands a job passes through, and those who keep house: one role a file.

`fan_out` writes triggers and jobs, `dispatcher` claims, `sender` makes the calls, `settler` writes
what happened; `heartbeat` and `reaper` see to dead workers, `audit` to forgotten jobs, `keeper` to
partitions, `listener` wakes the dispatcher, and `worker` wires them together, starts them, and
stops them gracefully. The settler writes by `settle_writer` and keeps waiting results in `parked`;
`telling` and `disabling` see to what results announce.

What they decide is decided in pure functions: `lanes` (which lane is given how much), `results`
(what is recorded), `refused` (what is recorded of a result that the database refuses), and
`delivery.policy`.
"""
