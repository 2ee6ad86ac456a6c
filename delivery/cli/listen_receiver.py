"""The receiver of `delivery listen`, and the output for each request."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from delivery.cli.times import moment
from delivery.errors import InvalidInput, InvalidSignature
from delivery.message.signing import verify
from delivery.models import HttpMessage
from delivery.service.stopping import when_told_to_stop
from delivery.testing import Behaviour, Drop, FailFirst, Receiver, Respond
from delivery.wording import plain_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.cli.render import Output
    from delivery.testing import ReceivedRequest, Step

__all__ = ["Listening", "receive"]


@dataclass(frozen=True, slots=True)
class Listening:
    """The options of `delivery listen`."""

    host: str
    port: int
    secrets: tuple[str, ...]
    status: int
    fail_first: int
    fail_status: int
    delay: float
    drop: bool
    count: int | None

    def check(self) -> None:
        """Validate the options before the first request.

        Raises:
            InvalidInput: if an option is invalid.
        """
        if self.secrets:
            _problem(self.secrets, (), b"")
        for name, value in (("--status", self.status), ("--fail-status", self.fail_status)):
            if not 200 <= value <= 599:  # noqa: PLR2004 - the final statuses of HTTP
                message = f"{name} is {value}; it must be from 200 to 599"
                raise InvalidInput(message)
        _check_minimum("--fail-first", self.fail_first, than=0)
        _check_minimum("--delay", self.delay, than=0)
        _check_minimum("--count", self.count, than=1)

    def behaviour(self) -> Behaviour:
        """Return the behaviour of the receiver for a request."""
        response = Respond(self.status, delay=self.delay)
        failure: Step = Drop() if self.drop else Respond(self.fail_status, delay=self.delay)
        if self.fail_first > 0:
            return FailFirst(self.fail_first, failure=failure, then=response)
        return Drop() if self.drop else response


async def receive(options: Listening, output: Output) -> int:
    """Receive until the count is reached or a signal arrives; return the exit code."""
    options.check()
    requests = _RequestLog(output, options.secrets, options.count)

    def arrived(request: ReceivedRequest, step: Step) -> None:
        requests.show(request, step, receiver.counts[request.path, request.webhook_id])

    receiver = Receiver(
        host=options.host,
        port=options.port,
        default=options.behaviour(),
        keep=0,
        on_request=arrived,
    )
    async with receiver:
        # Handle signals before printing the URL: a caller may send one right after it.
        with when_told_to_stop(requests.stop):
            if output.as_json:
                output.json_line({"event": "listening", "url": receiver.url("/")})
            else:
                output.line(f"listening on {receiver.url('/')}")
            await requests.enough.wait()
        if requests.stopped:
            return 0
        await receiver.wait_for_responses()
    return 1 if requests.refused else 0


def _check_minimum(option: str, value: float | None, *, than: float) -> None:
    # This form of the comparison also refuses NaN.
    if value is not None and not than <= value < float("inf"):
        message = f"{option} is {plain_number(value)}; it must be at least {plain_number(than)}"
        raise InvalidInput(message)


def _problem(
    secrets: tuple[str, ...], headers: Iterable[tuple[str, str]], body: bytes
) -> str | None:
    """Return the reason to refuse a message, or None."""
    try:
        verify(body, headers, secrets)
    except InvalidSignature as error:
        return str(error)
    return None


class _RequestLog:
    """The log of received requests."""

    def __init__(self, output: Output, secrets: tuple[str, ...], count: int | None) -> None:
        self._output = output
        self._secrets = secrets
        self._left = count
        self.refused = 0
        """Requests with a wrong signature."""
        self.enough = asyncio.Event()
        """Set after the requested count, or at a signal."""
        self.stopped = False
        """True after a signal."""

    def stop(self) -> None:
        """Stop after a signal."""
        self.stopped = True
        self.enough.set()

    def show(self, request: ReceivedRequest, step: Step, attempt: int) -> None:
        """Print a request, its attempt number, and the response sent."""
        problem = None
        if self._secrets:
            problem = _problem(self._secrets, request.headers, request.body)
            self.refused += problem is not None
        if self._output.as_json:
            self._output.json_line(self._object(request, step, attempt, problem))
        else:
            self._print(request, step, attempt, problem)
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.enough.set()

    def _object(
        self, request: ReceivedRequest, step: Step, attempt: int, problem: str | None
    ) -> dict[str, object]:
        message = HttpMessage(request.headers, request.body, len(request.body), truncated=False)
        return {
            "event": "request",
            "received_at": datetime.fromtimestamp(request.received_at, UTC),
            "method": request.method,
            "target": request.target,
            "webhook_id": request.webhook_id or None,
            "attempt": attempt if request.webhook_id else None,
            "request": message,
            "answer": step.status if isinstance(step, Respond) else None,
            "signature": {"verified": problem is None, "problem": problem}
            if self._secrets
            else None,
        }

    def _print(
        self, request: ReceivedRequest, step: Step, attempt: int, problem: str | None
    ) -> None:
        output = self._output
        at = moment(datetime.fromtimestamp(request.received_at, UTC))
        response = str(step.status) if isinstance(step, Respond) else "dropped"
        which = f"  (attempt {attempt})" if request.webhook_id else ""
        output.line(f"{at}  {request.method} {request.target} → {response}{which}", "bold")
        if self._secrets and problem is None:
            output.line("  ✓ signature verified", "green")
        elif problem is not None:
            output.line(f"  ✗ signature refused: {problem}", "red")
        for name, value in request.headers:
            output.line(f"  {name}: {value}", "dim")
        output.body(request.body)
