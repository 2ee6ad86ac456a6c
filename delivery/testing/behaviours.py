"""Behaviours of the receiver's endpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from http import HTTPStatus
from typing import Final, TypeAlias

__all__ = [
    "Behaviour",
    "Drop",
    "FailFirst",
    "Hang",
    "Respond",
    "Sequence",
    "Step",
    "next_step",
    "render",
]

_BODILESS: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


@dataclass(frozen=True, slots=True)
class Respond:
    """Response with this status, headers and body, sent `delay` seconds after the request.

    `Content-Length` is added unless `headers` contain `Content-Length` or `Transfer-Encoding`.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Drop:
    """Step that closes the connection without a response, after the request is complete."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Step that never responds and leaves the connection open."""


Step: TypeAlias = Respond | Drop | Hang
"""Behaviour for one request."""


@dataclass(frozen=True, slots=True)
class FailFirst:
    """Behaviour that fails the first `times` requests of each message, then succeeds.

    The `webhook-id` identifies a message. Requests without it count as one message.
    """

    times: int
    failure: Step = Respond(503)
    then: Step = field(default=Respond())


@dataclass(frozen=True, slots=True)
class Sequence:
    """Behaviour that takes one step per request of the path. The last step repeats."""

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        """Reject an empty sequence.

        Raises:
            ValueError: if there is no step.
        """
        if not self.steps:
            message = "a sequence must have at least one step"
            raise ValueError(message)


Behaviour: TypeAlias = Step | FailFirst | Sequence
"""Behaviour for all requests of one path."""


def next_step(behaviour: Behaviour, *, of_path: int, of_message: int) -> Step:
    """Return the step for a request.

    Args:
        behaviour: Behaviour of the path.
        of_path: Number of earlier requests of the path.
        of_message: Number of these with the same `webhook-id`.
    """
    if isinstance(behaviour, FailFirst):
        return behaviour.failure if of_message < behaviour.times else behaviour.then
    if isinstance(behaviour, Sequence):
        return behaviour.steps[min(of_path, len(behaviour.steps) - 1)]
    return behaviour


@lru_cache(maxsize=256)
def render(response: Respond, *, keep_alive: bool, with_body: bool) -> bytes:
    """Render a response as HTTP/1.1 bytes, without the body for the method HEAD."""
    try:
        reason = HTTPStatus(response.status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {response.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    given = {name.lower() for name, _ in response.headers}
    bodiless = response.status in _BODILESS
    if not bodiless and not given & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(response.body)}")
    if not keep_alive:
        lines.append("Connection: close")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head + response.body if with_body and not bodiless else head
