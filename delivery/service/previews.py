"""Previews and test calls of reactions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from delivery.errors import InvalidReaction
from delivery.message.request.head import message_headers
from delivery.message.request.payload import encode_payload
from delivery.message.storage.exchanges import (
    is_cut_off,
    storable_body,
    storable_head,
    storable_text,
)
from delivery.message.template.parsing import TemplateError
from delivery.models import HttpMessage, RequestPreview, StatusAction, TestCall
from delivery.policy.matching import validate_event_type
from delivery.service.checks import check_flag
from delivery.service.stored_reaction import find_reaction
from delivery.store.reactions import StoredVersion
from delivery.wording import round_milliseconds

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.clock import Clock, IdFactory
    from delivery.engine.runners.prepared_calls import PreparedCall
    from delivery.http.transport import Transport
    from delivery.message.request.template import Rendered
    from delivery.message.storage.encryption import Cipher
    from delivery.models import Exchange
    from delivery.settings import Settings
    from delivery.store.driver.connection import Pool
    from delivery.store.reactions import StoredReaction

__all__ = ["Previews"]


class Previews:
    """Builder of the requests of reactions. It writes nothing."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        ids: IdFactory,
        cipher: Cipher,
        settings: Settings,
        transport: Transport,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._ids = ids
        self._cipher = cipher
        self._settings = settings
        self._transport = transport

    async def show(
        self,
        reaction_id: UUID | str,
        payload: Any,
        *,
        type: str = "test",  # noqa: A002 - the field's name
        reveal: bool = False,
        tenant_id: str = "default",
    ) -> RequestPreview:
        """Return the request of a reaction for an event; see `Reactions.preview`."""
        check_flag("reveal", reveal)
        call, rendered = await self._rendered(reaction_id, payload, type, tenant_id)
        return _preview(call, rendered, reveal=reveal)

    async def send(
        self,
        reaction_id: UUID | str,
        payload: Any,
        *,
        type: str = "test",  # noqa: A002 - the field's name
        tenant_id: str = "default",
    ) -> TestCall:
        """Make the call for an event once, now; see `Reactions.test`."""
        call, rendered = await self._rendered(reaction_id, payload, type, tenant_id)
        # Few programs need it here, and its imports take a while.
        from delivery.engine.runners.http import HttpRunner  # noqa: PLC0415

        runner = HttpRunner(self._transport, self._clock)
        return _result(call, rendered, await runner.send(call, rendered))

    async def _rendered(
        self, reaction_id: UUID | str, payload: Any, event_type: str, tenant_id: str
    ) -> tuple[PreparedCall, Rendered]:
        stored = await find_reaction(self._pool, reaction_id, tenant_id)
        limits = self._settings.limits
        validate_event_type(event_type, limits.max_event_type_length)
        encoded = encode_payload(payload, limits.max_payload_bytes)
        # Imported here: the imports are slow, and few programs need them.
        from delivery.engine.runners.templated_requests import facts_from  # noqa: PLC0415

        call = self._prepared(stored)
        now = self._clock.now()
        job_id = self._ids.new()
        facts = facts_from(
            stored.shown, job_id=job_id, trigger_id=self._ids.new(), event_type=event_type, now=now
        )
        try:
            return call, call.render_for(facts, f"msg_{job_id.hex}", int(now), encoded)
        except TemplateError as error:
            raise InvalidReaction(str(error)) from None

    def _prepared(self, stored: StoredReaction) -> PreparedCall:
        from delivery.engine.runners.prepared_calls import prepare_stored  # noqa: PLC0415

        shown = stored.shown
        version = StoredVersion(stored.call, stored.signing, shown.name, shown.area_id)
        return prepare_stored(version, self._settings.http, self._cipher)


def _preview(call: PreparedCall, rendered: Rendered, *, reveal: bool) -> RequestPreview:
    head = rendered.head if reveal else rendered.stored_head
    redacted_url = rendered.redacted_url or call.redacted_url
    if reveal:
        target = rendered.head.split(b" ", 2)[1].decode("latin-1")
        redacted_url = f"{call.endpoint.scheme}://{call.endpoint.host_header}{target}"
    body = rendered.plain_body
    if not reveal:
        body = storable_body(body, rendered.scrubber or call.scrubber, len(body))
    return RequestPreview(
        call.method, redacted_url, message_headers(head), body, len(rendered.body)
    )


def _result(call: PreparedCall, rendered: Rendered, exchange: Exchange) -> TestCall:
    scrubber = rendered.scrubber or call.scrubber
    action = None
    if exchange.failure_kind is None and exchange.status_code is not None:
        action = call.rules.action(exchange.status_code)
    response = None
    if exchange.response_head:
        response = HttpMessage(
            message_headers(
                storable_head(exchange.response_head, scrubber, len(exchange.response_head))
            ),
            storable_body(
                exchange.response_body,
                scrubber,
                len(exchange.response_body),
                cut=is_cut_off(exchange),
            ),
            exchange.response_size,
            exchange.truncated,
        )
    return TestCall(
        request=_preview(call, rendered, reveal=False),
        response=response,
        status_code=exchange.status_code,
        failure_kind=exchange.failure_kind,
        error=storable_text(exchange.error, scrubber),
        succeeded=action is StatusAction.SUCCEED,
        duration_ms=round_milliseconds(exchange.total_ms) or 0.0,
        remote_address=exchange.remote_address,
    )
