"""HTTP receiver with programmable behaviour, for the tests of applications."""

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
