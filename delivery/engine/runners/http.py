"""Runner of HTTP calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.engine.runners.computations import Computations
from delivery.engine.runners.slot_waiters import SlotWaiters
from delivery.http.request import Request
from delivery.message.template.parsing import TemplateError
from delivery.models import LONG_RESPONSE, FailureKind

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any
    from uuid import UUID

    from delivery.clock import Clock
    from delivery.engine.runners.attempt import Attempt
    from delivery.engine.runners.prepared_calls import PreparedCall
    from delivery.http.pool import Slot
    from delivery.http.transport import Transport
    from delivery.message.request.template import Rendered
    from delivery.models import Exchange

__all__ = ["HttpRunner"]


class HttpRunner:
    """Makes the HTTP calls of claimed jobs, and trial calls of reactions.

    Args:
        transport: Makes the exchanges.
        clock: Dates the requests.
    """

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        self.waiters = SlotWaiters(transport)
        """Jobs that wait for a slot at their endpoint."""
        self.computations = Computations()
        """Turns of the computations that may take long."""

    async def run(self, attempt: Attempt) -> bool:
        """Make the call of a claimed job, and fill in the attempt.

        Returns:
            False if the job has to wait for a slot at its endpoint. It then runs again with it.

        Raises:
            MissingKey: The payload is encrypted with a key that is missing here.
            CancelledError: The call was cut off; `attempt.rendered` shows whether it had begun.
        """
        job, call = attempt.job, attempt.call
        # An encrypted payload begins with `encrypted:`.
        computes = call.computes or job.payload[:1] == b"e"  # type: ignore[index]
        if computes and not await self._begin_computation(attempt):
            return False
        try:
            attempt.rendered = rendered = call.render(job, self._clock.now())
        except BaseException as error:
            if attempt.slot is not None:
                attempt.slot.release()
            if not isinstance(error, TemplateError):
                raise
            attempt.fail(FailureKind.MISCONFIGURED, str(error))
            return True
        finally:
            if computes:
                self.computations.end()
        exchange = await self.send(call, rendered, job.tenant_id, job.lane, attempt.slot)
        attempt.exchange = exchange
        attempt.is_long = (
            computes
            or exchange.response_size > LONG_RESPONSE
            or len(exchange.response_head) > LONG_RESPONSE
        )
        return True

    def send(
        self,
        call: PreparedCall,
        rendered: Rendered,
        tenant_id: str | None = None,
        lane: UUID | None = None,
        slot: Slot | None = None,
    ) -> Coroutine[Any, Any, Exchange]:
        """Return the exchange of a request, with its redirects, to be awaited.

        Args:
            call: Call that the request belongs to.
            rendered: Request.
            tenant_id: Tenant and lane of the job. They take turns where calls have to wait.
            lane: See `tenant_id`.
            slot: Slot at the endpoint that the job waited for.
        """
        request = Request(
            call.endpoint,
            call.method,
            rendered.head,
            rendered.body,
            call.timeout,
            call.connect_timeout,
            tenant_id,
            lane,
            slot,
        )
        if call.redirects is None:
            return self._transport.send(request)
        return call.redirects.follow(self._transport, request, plain_body=rendered.plain_body)

    async def _begin_computation(self, attempt: Attempt) -> bool:
        """Wait for the turn to make a request that may take long; `computations.end` must follow.

        Meanwhile other jobs may have taken the slots at the endpoint. Then the job waits for a
        slot outside of any call, and the result is False.
        """
        await self.computations.begin(attempt.job.tenant_id, attempt.job.lane)
        if attempt.slot is None and self.waiters.take(attempt):
            self.computations.end()
            return False
        return True
