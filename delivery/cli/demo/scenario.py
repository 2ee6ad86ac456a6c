"""The demo's endpoints, and the expected results of their jobs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from delivery.service import TriggerRequest
from delivery.testing import FailFirst, Respond

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.testing import Behaviour

__all__ = ["ATTEMPTS", "ENDPOINTS", "EVENT_TYPES", "Endpoint", "requests"]

ATTEMPTS: Final = 3
"""Event type of every reaction."""
EVENT_TYPES: Final = ("order.*",)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One reaction of the demo, and the endpoint it calls."""

    name: str
    does: str
    behaviour: Behaviour
    calls: int | None = 1
    """Requests per job; None if the number varies."""
    succeeds: bool = True
    """True if every job eventually succeeds."""

    @property
    def path(self) -> str:
        """Return the path of its URL."""
        return f"/{self.name}"


ENDPOINTS: Final = (
    Endpoint("healthy", "answers 200", Respond()),
    Endpoint("healthy-too", "answers 202", Respond(202)),
    Endpoint("flaky", "fails twice, then 200", FailFirst(2, Respond(500)), calls=3),
    Endpoint("slow", "200 after 100 ms", Respond(delay=0.1)),
    Endpoint("failing", "always 500", Respond(500), calls=ATTEMPTS, succeeds=False),
    Endpoint("gone", "410: disables its reaction", Respond(410), calls=None, succeeds=False),
)

RETRY: Final = {"max_attempts": ATTEMPTS, "schedule": [0.5, 1.0], "jitter": 0.2}
"""Delays much shorter than the default, to show retries within seconds."""


def requests(first: int, last: int) -> Iterator[TriggerRequest]:
    """Return the triggers with these numbers."""
    for number in range(first, last):
        word = ("paid", "packed", "shipped")[number % 3]
        payload = {
            "order": number,
            "state": word,
            "total": f"{number * 1.07:.2f}",
            "note": "✓ ü 漢",
        }
        yield TriggerRequest(f"order.{word}", payload)
