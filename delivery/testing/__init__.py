"""What users of the engine need in their own tests: a real receiver that does as it is told."""

from __future__ import annotations

from delivery.testing.behaviours import Behaviour, Drop, FailFirst, Hang, Respond, Sequence, Step
from delivery.testing.receiver import ReceivedRequest, Receiver

__all__ = [
    "Behaviour",
    "Drop",
    "FailFirst",
    "Hang",
    "ReceivedRequest",
    "Receiver",
    "Respond",
    "Sequence",
    "Step",
]
