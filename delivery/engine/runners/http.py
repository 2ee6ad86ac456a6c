"""The exchange of one call: over the transport, with its redirects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.http.request import Request

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from delivery.engine.runners.prepared_calls import PreparedCall
    from delivery.http.pool import Slot
    from delivery.http.transport import Transport
    from delivery.message.request.template import Rendered
    from delivery.models import Exchange
    from delivery.store.queue import ClaimedJob

__all__ = ["exchange_of"]


def exchange_of(
    transport: Transport,
    job: ClaimedJob,
    call: PreparedCall,
    rendered: Rendered,
    slot: Slot | None,
) -> Coroutine[Any, Any, Exchange]:
    """Return the exchange, to be awaited."""
    request = Request(
        call.endpoint,
        call.method,
        rendered.head,
        rendered.body,
        call.timeout,
        call.connect_timeout,
        job.tenant_id,
        job.lane,
        slot,
    )
    if call.redirects is None:
        return transport.send(request)
    return call.redirects.follow(transport, request, plain_body=rendered.plain_body)
