"""Windows: the number of calls of each lane that may be in flight.

A window begins small. Every call with a response lets it grow by one, up to the lane's cap, as in
TCP's slow start (RFC 5681). Every call without a response, or whose response asks for less, halves
it. So an endpoint that hangs never holds more than a few of the process's places, and one that
refuses connections gets one call at a time, with growing pauses.

Some endpoints fail each message once or twice before they accept it. While a lane is in doubt,
jobs that failed before run first (`delivery.queue.lanes`). An endpoint that responds to such a job
is *trusted*: many early failures in a row then cause no pauses, and do not reduce the window below
its initial size. Without I/O; times are of the monotonic clock.
"""

from __future__ import annotations

import time
from enum import Enum
from typing import TYPE_CHECKING, Final

from delivery.models import FailureKind
from delivery.policy.endpoint_health import THROTTLES, is_early

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from delivery.models import Exchange
    from delivery.policy.outcome import Decision

__all__ = ["CallEnd", "LaneWindows", "end_of"]

_FIRST: Final = 10
"""Initial window of a lane."""

_KEPT: Final = 100_000

_TOLERATED: Final = 3
"""Failures in a row without a pause of the lane."""

_TOLERATED_IF_TRUSTED: Final = 200

_FIRST_PAUSE: Final = 0.01
_LONGEST_PAUSE: Final = 1.0


class CallEnd(Enum):
    """End of a call, as it concerns the window of its lane."""

    RESPONDED = "responded"
    """Response with any other status than the following."""
    RESPONDED_AGAIN = "responded again"
    """The same for a job that failed before."""
    ASKED_FOR_LESS = "asked for less"
    """429, 502, 503 or 504."""
    ASKED_FOR_LESS_EARLY = "asked for less early"
    """502, 503 or 504 as an early failure; see `delivery.policy.endpoint_health`."""
    NO_RESPONSE = "no response"
    NO_RESPONSE_EARLY = "no response early"
    """No response, as an early failure."""
    NOT_CALLED = "not called"


_NOT_EARLY: Final = frozenset({CallEnd.ASKED_FOR_LESS, CallEnd.NO_RESPONSE})
_TOO_MANY_REQUESTS: Final = 429
_UNREACHED: Final = frozenset(
    {FailureKind.TRANSPORT, FailureKind.TLS, FailureKind.DNS, FailureKind.TIMEOUT}
)
"""Failures without a response of the endpoint."""


def end_of(exchange: Exchange, decision: Decision, attempt: int) -> CallEnd:
    """Return the end of a call, as it concerns the window of its lane."""
    if exchange.failure_kind in _UNREACHED:
        early = is_early(decision, attempt)
        return CallEnd.NO_RESPONSE_EARLY if early else CallEnd.NO_RESPONSE
    if exchange.status_code in THROTTLES:
        early = exchange.status_code != _TOO_MANY_REQUESTS and is_early(decision, attempt)
        return CallEnd.ASKED_FOR_LESS_EARLY if early else CallEnd.ASKED_FOR_LESS
    return CallEnd.RESPONDED if attempt == 1 else CallEnd.RESPONDED_AGAIN


class LaneWindows:
    """Windows of all lanes, and the numbers of their calls in flight."""

    def __init__(self, default_cap: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._default_cap = default_cap
        self._caps: dict[UUID, int] = {}
        self._sizes: dict[UUID, int] = {}
        self._in_flight: dict[UUID, int] = {}
        self._failures: dict[UUID, int] = {}
        """Failures in a row: calls without a response, and early failures that ask for less."""
        self._resting: dict[UUID, float] = {}
        self._trusted: set[UUID] = set()

    def set_cap(self, lane: UUID, cap: int | None) -> None:
        """Set the limit of a lane's calls in flight; None for the default."""
        if cap is None:
            if self._caps:
                self._caps.pop(lane, None)
        elif self._caps.get(lane) != cap:
            if len(self._caps) >= _KEPT:
                self._caps.clear()
            self._caps[lane] = cap

    def size(self, lane: UUID) -> int:
        """Return the number of calls of the lane that may be in flight."""
        cap = self._caps.get(lane, self._default_cap) if self._caps else self._default_cap
        return min(self._sizes.get(lane, _FIRST), cap)

    def room(self, lane: UUID) -> int:
        """Return the number of further calls that may be in flight."""
        return self.size(lane) - self._in_flight.get(lane, 0)

    def is_in_doubt(self, lane: UUID) -> bool:
        """Return whether many calls in a row failed, so that the endpoint may be down."""
        return bool(self._failures) and self._failures.get(lane, 0) > self._tolerated(lane)

    def resting_until(self, lane: UUID) -> float:
        """Return the end of the lane's pause after failures; 0 without a pause."""
        return self._resting.get(lane, 0.0)

    def rest(self, lane: UUID, until: float) -> None:
        """Pause a lane; a longer pause remains."""
        if len(self._resting) >= _KEPT:
            self._resting.clear()
        self._resting[lane] = max(until, self._resting.get(lane, 0.0))

    def began(self, lane: UUID) -> None:
        """Note one more call of the lane."""
        self._in_flight[lane] = self._in_flight.get(lane, 0) + 1

    def ended(self, lane: UUID, end: CallEnd) -> None:
        """Note that a call ended.

        Args:
            lane: Lane of the call.
            end: End of the call.
        """
        left = self._in_flight.get(lane, 0) - 1
        if left > 0:
            self._in_flight[lane] = left
        else:
            self._in_flight.pop(lane, None)
        if end is CallEnd.RESPONDED or end is CallEnd.RESPONDED_AGAIN:
            size = self._sizes.get(lane, _FIRST)
            if size < self._default_cap or (self._caps and size < self._caps.get(lane, 0)):
                self._remember(lane, size + 1)
            if self._failures and lane in self._failures:
                del self._failures[lane]
                self._resting.pop(lane, None)
                if end is CallEnd.RESPONDED_AGAIN:
                    self._trusted.add(lane)
        elif end is not CallEnd.NOT_CALLED:
            if end in _NOT_EARLY:
                self._trusted.discard(lane)
            least = _FIRST if lane in self._trusted else 1
            self._remember(lane, max(least, self._sizes.get(lane, _FIRST) // 2))
            if end is not CallEnd.ASKED_FOR_LESS:
                self._failed(lane, rests=end is not CallEnd.ASKED_FOR_LESS_EARLY)

    def _tolerated(self, lane: UUID) -> int:
        return _TOLERATED_IF_TRUSTED if lane in self._trusted else _TOLERATED

    def _failed(self, lane: UUID, *, rests: bool) -> None:
        failures = self._failures.get(lane, 0) + 1
        self._failures[lane] = failures
        tolerated = self._tolerated(lane)
        if failures > tolerated:
            self._trusted.discard(lane)
            if rests:
                doublings = min(failures - tolerated - 1, 10)
                pause = min(_FIRST_PAUSE * 2**doublings, _LONGEST_PAUSE)
                self._resting[lane] = self._clock() + pause

    def _remember(self, lane: UUID, size: int) -> None:
        if len(self._sizes) >= _KEPT and lane not in self._sizes:
            # Forgotten sizes are learnt again.
            self._sizes.clear()
            self._failures.clear()
            self._resting.clear()
            self._trusted.clear()
        self._sizes[lane] = size
