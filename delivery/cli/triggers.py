"""`delivery trigger`: say that something happened."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from anyio import to_thread
from cyclopts import Parameter

from delivery.cli.options import COMMON, TENANT, Common, Tenant, open_engine
from delivery.cli.render import Column
from delivery.errors import InvalidInput

__all__ = ["parse_time", "trigger"]

_COLUMNS = (Column("JOB"), Column("REACTION", flexible=8))


async def trigger(
    type_: Annotated[str, Parameter(name="TYPE", help="A dotted name, such as `order.paid`.")],
    payload: Annotated[
        str,
        Parameter(help="JSON, sent byte for byte; or @FILE, or - for standard input."),
    ] = "{}",
    /,
    *,
    delay: Annotated[float | None, Parameter(help="Seconds from now to the first call.")] = None,
    run_at: Annotated[str | None, Parameter(help="The same as an ISO 8601 time.")] = None,
    deadline: Annotated[str | None, Parameter(help="No attempt starts after this time.")] = None,
    priority: Annotated[int | None, Parameter(help="Lower first; 0 to 32767.")] = None,
    user: Annotated[str | None, Parameter(help="Whom the jobs are for.")] = None,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """Write a trigger, and a job for every reaction that matches it.

    The calls are made by workers: see `delivery worker`.
    """
    data = await to_thread.run_sync(_read, payload)
    async with open_engine(common) as engine:
        written = await engine.trigger(
            type_,
            data,
            tenant_id=tenant,
            user_id=user,
            delay=delay,
            run_at=None if run_at is None else parse_time("--run-at", run_at),
            deadline=None if deadline is None else parse_time("--deadline", deadline),
            priority=priority,
        )
        output = common.output
        if common.json:
            output.json(written)
            return
        output.details({"trigger": written.id, "type": written.type})
        jobs = await engine.jobs.list(trigger_id=written.id, tenant_id=tenant, limit=200)
        names = {
            job.id: (await engine.reactions.get(job.reaction_id, tenant_id=tenant)).name
            for job in jobs.items
            if job.reaction_id is not None
        }
    rows = [(job, names.get(job, "")) for job in written.jobs]
    output.table(_COLUMNS, rows, "No reaction matches, so there is no job.")


def _read(payload: str) -> bytes:
    """The payload's bytes, from the argument, a file, or standard input."""
    if payload == "-":
        return sys.stdin.buffer.read()
    if not payload.startswith("@"):
        return payload.encode(errors="surrogateescape")
    file = Path(payload.removeprefix("@"))
    try:
        return file.read_bytes()
    except OSError as error:
        message = f"{file}: cannot be read: {error.strerror}"
        raise InvalidInput(message) from error


def parse_time(option: str, text: str) -> datetime:
    """An ISO 8601 time; one without a zone is UTC.

    Raises:
        InvalidInput: if it is not one.
    """
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        message = f"{option} {text!r} is not an ISO 8601 time such as 2026-03-01T12:00:00Z"
        raise InvalidInput(message) from None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
