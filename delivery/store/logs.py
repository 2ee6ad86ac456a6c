"""Delivery logs, for reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery.message.redaction.bodies import redact_body
from delivery.message.redaction.by_name import REDACTED
from delivery.message.request.head import last_head, message_headers, redirects_in
from delivery.models import DeliveryLog, FailureKind, HttpMessage, Outcome, Timings
from delivery.store.statements import statement
from delivery.wording import round_milliseconds

if TYPE_CHECKING:
    from uuid import UUID

    import asyncpg

    from delivery.store.driver.connection import Queryable

__all__ = ["get", "list_page"]


def _request(row: asyncpg.Record, max_body: int) -> HttpMessage | None:
    if row["request_head"] is None:
        return None
    # A body that was the payload is read from the trigger, where it is not redacted.
    body = redact_body((row["request_body"] or b"")[:max_body])
    size = row["request_size"] or 0
    return HttpMessage(
        headers=message_headers(row["request_head"]),
        body=body,
        body_size=size,
        truncated=_was_cut(body, size, max_body),
    )


def _was_cut(body: bytes, size: int, max_body: int) -> bool:
    if REDACTED.encode() in body and len(body) < max_body:
        # The body is shorter because secrets were redacted.
        return False
    return len(body) < size


def _response(row: asyncpg.Record, max_body: int) -> HttpMessage | None:
    head = last_head(row["response_head"] or b"")
    if not head:
        return None
    body = row["response_body"] or b""
    return HttpMessage(
        headers=message_headers(head),
        body=body,
        body_size=row["response_size"] or 0,
        truncated=bool(row["truncated"]) or _was_cut(body, row["response_size"] or 0, max_body),
    )


def _timings(row: asyncpg.Record) -> Timings | None:
    if row["duration_ms"] is None:
        return None
    return Timings(
        dns_ms=round_milliseconds(row["dns_ms"]),
        connect_ms=round_milliseconds(row["connect_ms"]),
        tls_ms=round_milliseconds(row["tls_ms"]),
        send_ms=round_milliseconds(row["send_ms"]),
        first_byte_ms=round_milliseconds(row["first_byte_ms"]),
        total_ms=round_milliseconds(row["duration_ms"]) or 0.0,
    )


def _log(row: asyncpg.Record, max_body: int) -> DeliveryLog:
    return DeliveryLog(
        id=row["id"],
        tenant_id=row["tenant_id"],
        job_id=row["job_id"],
        trigger_id=row["trigger_id"],
        reaction_id=row["reaction_id"],
        attempt=row["attempt"],
        outcome=Outcome(row["outcome"]),
        method=row["method"],
        endpoint=row["endpoint"],
        request=_request(row, max_body),
        response=_response(row, max_body),
        status_code=row["status_code"],
        failure_kind=FailureKind.of_stored(row["failure_kind"]),
        error=row["error"],
        duration_ms=round_milliseconds(row["duration_ms"]),
        timings=_timings(row),
        remote_address=row["remote_address"],
        reused=row["reused"],
        worker_id=row["worker_id"],
        created_at=row["created_at"],
        redirects=redirects_in(row["response_head"] or b""),
    )


async def get(
    executor: Queryable, log_id: UUID, tenant_id: str, *, max_body: int
) -> DeliveryLog | None:
    """Return one log of the tenant; bodies are cut to `max_body` bytes."""
    row = await executor.fetchrow(statement("get_delivery_log"), log_id, tenant_id)
    return None if row is None else _log(row, max_body)


async def list_page(
    executor: Queryable,
    *,
    tenant_id: str,
    after: UUID | None,
    job_id: UUID | None,
    trigger_id: UUID | None,
    reaction_id: UUID | None,
    outcome: Outcome | None,
    status_code: int | None,
    oldest_first: bool,
    limit: int,
    max_body: int,
) -> list[DeliveryLog]:
    """Return a page of logs by creation time, oldest or newest first."""
    kind = "logs" if outcome in {None, Outcome.SUCCEEDED} else "failed_logs"
    rows = await executor.fetch(
        statement(f"list_{kind}_{'oldest' if oldest_first else 'newest'}"),
        tenant_id,
        after,
        job_id,
        trigger_id,
        reaction_id,
        None if outcome is None else outcome.value,
        status_code,
        limit,
    )
    return [_log(row, max_body) for row in rows]
