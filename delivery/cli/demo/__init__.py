"""`delivery demo`: a run of the whole engine, and a report that proves that no job was lost.

`scenario` defines the endpoints, `receiver` implements them in a separate process, `run` sends the
triggers, `progress` displays them, and `report` checks the results.
"""
