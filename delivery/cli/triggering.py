"""`delivery trigger`: record an event."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

from delivery.cli.jobs import (
    exit_code_of,
    reaction_names,
    show_finished,
    warn_without_workers,
)
from delivery.cli.layout import Column
from delivery.cli.options import COMMON, TENANT, Common, Tenant, open_engine
from delivery.cli.overview import COMMON_OPTIONS
from delivery.cli.standard_input import read_standard_input
from delivery.errors import InvalidInput
from delivery.spelling import closest

if TYPE_CHECKING:
    from delivery.cli.render import Output
    from delivery.models import Trigger
    from delivery.service import Engine

__all__ = ["parse_time", "trigger"]

_COLUMNS = (Column("JOB"), Column("REACTION", flexible=8))
_OPTIONS: Final = (
    *("--delay", "--run-at", "--deadline", "--priority", "--user", "--wait", "--timeout"),
    *("--tenant", "--help", *COMMON_OPTIONS),
)
"""For suggestions: a payload may begin with a hyphen, so cyclopts lets unknown options pass."""


async def trigger(
    type_: Annotated[
        str, Parameter(name="TYPE", help="Type of the event: a dotted name, such as `order.paid`.")
    ],
    payload: Annotated[
        str,
        Parameter(
            help="JSON, sent byte for byte; or @FILE, or - for standard input.",
            allow_leading_hyphen=True,
        ),
    ] = "{}",
    /,
    *,
    delay: Annotated[
        float | None, Parameter(help="Delay before the first attempt, in seconds.")
    ] = None,
    run_at: Annotated[str | None, Parameter(help="Time of the first attempt, in ISO 8601.")] = None,
    deadline: Annotated[
        str | None, Parameter(help="Start no attempt after this time (ISO 8601).")
    ] = None,
    priority: Annotated[
        int | None, Parameter(help="Priority, 0 to 32767; lower runs first.")
    ] = None,
    user: Annotated[str | None, Parameter(help="User id to store with the jobs.")] = None,
    wait: Annotated[
        bool, Parameter(help="Wait until its jobs finish; same exit codes as `jobs wait`.")
    ] = False,
    timeout: Annotated[float, Parameter(help="Timeout of --wait, in seconds.")] = 60.0,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> int:
    """Record an event, and create a job for every matching reaction.

    Workers deliver the jobs: see `delivery worker`. With --wait and --json, the finished jobs
    follow the trigger, one per line.
    """
    from delivery.service.checks import check_seconds

    check_seconds("timeout", timeout)
    data = await read_standard_input() if payload == "-" else _read(payload)
    output = common.output
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
        if common.json:
            (output.json_line if wait else output.json)(written)
        else:
            await _show(output, engine, written)
        if not wait:
            return 0
        if written.jobs:
            await warn_without_workers(engine, output)
        jobs = await engine.triggers.wait(written.id, timeout=timeout, tenant_id=tenant)
    for job in jobs:
        if common.json:
            output.json_line(job)
        else:
            show_finished(output, job)
    return exit_code_of(jobs)


async def _show(output: "Output", engine: "Engine", trigger: "Trigger") -> None:
    from delivery.service.cursors import MAX_PAGE

    output.details({"trigger": trigger.id, "type": trigger.type})
    jobs = await engine.jobs.list(
        trigger_id=trigger.id, tenant_id=trigger.tenant_id, limit=MAX_PAGE
    )
    names = await reaction_names(engine, trigger.tenant_id, {job.reaction_id for job in jobs.items})
    reactions = {job.id: names.get(job.reaction_id, "") for job in jobs.items}
    rows = [(job, reactions.get(job, "")) for job in trigger.jobs]
    output.table(_COLUMNS, rows, "No reaction matches; no job was created.")


def _read(payload: str) -> bytes:
    """Return the payload from the argument or a file."""
    if payload.startswith("--"):
        # The text after an equals sign may be a secret.
        option = payload.partition("=")[0]
        near = closest(option, _OPTIONS)
        meant = f"; did you mean {near}?" if near else ""
        message = f"unknown option {option}{meant}; see `delivery trigger --help`"
        raise InvalidInput(message)
    if not payload.startswith("@"):
        return payload.encode(errors="surrogateescape")
    file = Path(payload.removeprefix("@"))
    try:
        return file.read_bytes()
    except OSError as error:
        message = f"{file}: cannot be read: {error.strerror}"
        raise InvalidInput(message) from error


def parse_time(option: str, text: str) -> datetime:
    """Parse an ISO 8601 time; without a zone it is UTC.

    Raises:
        InvalidInput: if the text is not such a time.
    """
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        message = f"{option} {text!r} is not an ISO 8601 time such as 2026-03-01T12:00:00Z"
        raise InvalidInput(message) from None
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)
