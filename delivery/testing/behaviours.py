"""How an endpoint of the receiver behaves, as values, and the one function that reads them."""

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
    """Answer with this status, headers and body, `delay` seconds after the request is complete.

    `Content-Length` is added unless `headers` say how long the body is.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection without an answer, once the request is complete."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer, and keep the connection open."""


Step: TypeAlias = Respond | Drop | Hang
"""What becomes of one request."""


@dataclass(frozen=True, slots=True)
class FailFirst:
    """Fail the first `times` requests of each message, then answer.

    A message is known by its `webhook-id`; requests without one count as one message.
    """

    times: int
    failure: Step = Respond(503)
    then: Step = field(default=Respond())


@dataclass(frozen=True, slots=True)
class Sequence:
    """One step after the other over all requests of the path; the last one repeats."""

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        """Refuse an empty sequence.

        Raises:
            ValueError: if there is no step.
        """
        if not self.steps:
            message = "a sequence needs at least one step"
            raise ValueError(message)


Behaviour: TypeAlias = Step | FailFirst | Sequence
"""What becomes of all requests to one path."""


def next_step(behaviour: Behaviour, *, of_path: int, of_message: int) -> Step:
    """What to do with a request.

    Args:
        behaviour: Of the path it goes to.
        of_path: How many requests the path had before.
        of_message: How many of them carried the same `webhook-id`.
    """
    if isinstance(behaviour, FailFirst):
        return behaviour.failure if of_message < behaviour.times else behaviour.then
    if isinstance(behaviour, Sequence):
        return behaviour.steps[min(of_path, len(behaviour.steps) - 1)]
    return behaviour


@lru_cache(maxsize=256)
def render(answer: Respond, *, keep_alive: bool, with_body: bool) -> bytes:
    """The answer as HTTP/1.1 bytes; without body for a request of the method HEAD."""
    try:
        reason = HTTPStatus(answer.status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {answer.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in answer.headers]
    given = {name.lower() for name, _ in answer.headers}
    bodiless = answer.status in _BODILESS
    if not bodiless and not given & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(answer.body)}")
    if not keep_alive:
        lines.append("Connection: close")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head + answer.body if with_body and not bodiless else head
