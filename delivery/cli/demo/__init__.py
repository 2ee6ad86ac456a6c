"""`delivery demo`: the whole engine at work, and the sums that show that nothing was lost.

`scenario` says what there is, `receiver` is the other end in its own process, `run` lets them
meet, `progress` shows it, and `report` adds up what happened.
"""
