"""`delivery listen`: a receiver that shows and verifies what arrives."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from delivery.cli.options import COMMON, Common
from delivery.cli.render import Output, moment
from delivery.errors import InvalidInput, InvalidSignature
from delivery.message.signing import verify
from delivery.models import HttpMessage
from delivery.service.stopping import when_told_to_stop
from delivery.testing import Answer, Behaviour, Drop, FailFirst, ReceivedRequest, Receiver, Step

__all__ = ["listen"]


async def listen(
    *,
    port: Annotated[int, Parameter(help="0: a free one.")] = 0,
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    secret: Annotated[
        tuple[str, ...],
        Parameter(
            metavar="WHSEC", help="Verify signatures with this, or a `whpk_`; may be repeated."
        ),
    ] = (),
    status: Annotated[int, Parameter(help="What to answer.")] = 200,
    fail_first: Annotated[int, Parameter(help="Fail each message so many times first.")] = 0,
    fail_status: Annotated[int, Parameter(help="How to fail.")] = 503,
    delay: Annotated[float, Parameter(help="Seconds before every answer.")] = 0.0,
    drop: Annotated[
        bool,
        Parameter(help="Close without an answer; with --fail-first, only those that fail."),
    ] = False,
    count: Annotated[int | None, Parameter(help="End after so many requests.")] = None,
    common: Common = COMMON,
) -> int:
    """Receive webhooks here: show and verify what arrives, and fail, delay or drop if told to.

    Exit code 1 if --count requests arrived and a signature among them was refused. To have this
    address called, allow it: `--set http.allowed_networks=127.0.0.0/8` for the engine.
    """
    if secret:
        # Refuses a secret that is none, before anything has arrived.
        _problem(secret, (), b"")
    for name, value in (("--status", status), ("--fail-status", fail_status)):
        if not 200 <= value <= 599:  # noqa: PLR2004 - the final statuses of HTTP
            message = f"{name} is {value}; it must be from 200 to 599"
            raise InvalidInput(message)
    _refuse_less("--fail-first", fail_first, than=0)
    _refuse_less("--delay", delay, than=0)
    _refuse_less("--count", count, than=1)
    answer = Answer(status, delay=delay)
    failure: Step = Drop() if drop else Answer(fail_status, delay=delay)
    behaviour: Behaviour = answer
    if fail_first > 0:
        behaviour = FailFirst(fail_first, failure=failure, then=answer)
    elif drop:
        behaviour = Drop()
    visitors = _Visitors(common.output, secret, count)

    def arrived(request: ReceivedRequest, step: Step) -> None:
        visitors.show(request, step, receiver.counts[request.path, request.webhook_id])

    receiver = Receiver(host=host, port=port, default=behaviour, keep=0, on_request=arrived)
    async with receiver:
        # Who reads the URL may tell us to stop from then on.
        with when_told_to_stop(visitors.stop):
            if common.json:
                common.output.json_line({"event": "listening", "url": receiver.url("/")})
            else:
                common.output.line(f"listening on {receiver.url('/')}")
            await visitors.enough.wait()
        if visitors.stopped:
            return 0
        await receiver.answered()
    return 1 if visitors.refused else 0


def _refuse_less(option: str, value: float | None, *, than: float) -> None:
    # Written so that "nan", which is a float too, is refused.
    if value is not None and not than <= value < float("inf"):
        message = f"{option} is {value:g}; it must be at least {than:g}"
        raise InvalidInput(message)


def _problem(
    secrets: tuple[str, ...], headers: Iterable[tuple[str, str]], body: bytes
) -> str | None:
    """Why a message is refused, if it is."""
    try:
        verify(body, headers, secrets)
    except InvalidSignature as error:
        return str(error)
    return None


class _Visitors:
    """Shows each request as it arrives."""

    def __init__(self, output: Output, secrets: tuple[str, ...], count: int | None) -> None:
        self._output = output
        self._secrets = secrets
        self._left = count
        self.refused = 0
        """Requests whose signature was not right."""
        self.enough = asyncio.Event()
        """Set once as many have arrived as were asked for, or nobody wants more."""
        self.stopped = False
        """Whether nobody wants more."""

    def stop(self) -> None:
        """Want no more."""
        self.stopped = True
        self.enough.set()

    def show(self, request: ReceivedRequest, step: Step, attempt: int) -> None:
        """Print a request, the how manieth of its message it is, and what becomes of it."""
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
            "answer": step.status if isinstance(step, Answer) else None,
            "signature": {"verified": problem is None, "problem": problem}
            if self._secrets
            else None,
        }

    def _print(
        self, request: ReceivedRequest, step: Step, attempt: int, problem: str | None
    ) -> None:
        output = self._output
        at = moment(datetime.fromtimestamp(request.received_at, UTC))
        answer = str(step.status) if isinstance(step, Answer) else "dropped"
        which = f"  (attempt {attempt})" if request.webhook_id else ""
        output.line(f"{at}  {request.method} {request.target} → {answer}{which}", "bold")
        if self._secrets and problem is None:
            output.line("  ✓ signature verified", "green")
        elif problem is not None:
            output.line(f"  ✗ signature refused: {problem}", "red")
        for name, value in request.headers:
            output.line(f"  {name}: {value}", "dim")
        output.body(request.body)
