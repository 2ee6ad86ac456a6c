"""What users of the engine need in their own tests: a real receiver that does as it is told."""

from __future__ import annotations

from delivery.testing.behaviours import Answer, Behaviour, Drop, FailFirst, Hang, Sequence, Step
from delivery.testing.receiver import ReceivedRequest, Receiver

__all__ = [
    "Answer",
    "Behaviour",
    "Drop",
    "FailFirst",
    "Hang",
    "ReceivedRequest",
    "Receiver",
    "Sequence",
    "Step",
]
