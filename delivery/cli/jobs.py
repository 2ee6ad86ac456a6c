"""`delivery jobs`: the calls to make, and their states."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from cyclopts import App, Parameter

from delivery.cli.layout import Column, short_reason
from delivery.cli.options import COMMON, TENANT, Common, Tenant, open_engine
from delivery.cli.times import duration
from delivery.errors import InvalidInput, NotFound
from delivery.wording import counted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from delivery.cli.render import Output
    from delivery.models import DeliveryLog, Job
    from delivery.service import Engine
    from delivery.service.ids import IdKind

__all__ = [
    "app",
    "exit_code_of",
    "id_or_none",
    "reaction_names",
    "result_of",
    "show_finished",
    "warn_without_workers",
]

app = App(name="jobs", help="List, show and wait for jobs: the calls to make.", help_epilogue="")

_COLUMNS = (
    Column("ID", tail=12),
    Column("STATUS"),
    Column("TRIES", rank=2, right=True),
    Column("HTTP"),
    Column("CREATED", rank=1),
    Column("REACTION", rank=3, flexible=8),
    Column("ERROR", rank=4, flexible=16),
)
_ATTEMPTS = (
    Column("TRY", right=True),
    Column("OUTCOME"),
    Column("HTTP"),
    Column("MS", rank=2, right=True),
    Column("AT", rank=1),
    Column("LOG", rank=3, tail=12),
    Column("ERROR", rank=4, flexible=16),
)

JobId = Annotated[
    str,
    Parameter(help="Id of the job, its first or last digits, or the webhook-id of its requests."),
]


@app.command(name="list")
async def list_(
    *,
    status: Annotated[str | None, Parameter(help="Such as queued, retrying, failed.")] = None,
    trigger: Annotated[str | None, Parameter(help="Id of the trigger that made them.")] = None,
    reaction: Annotated[str | None, Parameter(help="Id of the reaction they belong to.")] = None,
    message_id: Annotated[
        str | None, Parameter(metavar="ID", help="The webhook-id of their requests.")
    ] = None,
    oldest_first: Annotated[bool, Parameter(help="Show the oldest first, not the newest.")] = False,
    limit: Annotated[int, Parameter(help="Show at most this many, up to 200.")] = 50,
    cursor: Annotated[str | None, Parameter(help="Go on after the page that gave this.")] = None,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """List jobs, newest first."""
    output = common.output
    async with open_engine(common) as engine:
        page = await engine.jobs.list(
            tenant_id=tenant,
            status=status,
            trigger_id=await id_or_none(engine, "trigger", trigger, tenant),
            reaction_id=await id_or_none(engine, "reaction", reaction, tenant),
            message_id=message_id,
            oldest_first=oldest_first,
            limit=limit,
            cursor=cursor,
        )
        if common.json:
            output.json(page)
            return
        names = await reaction_names(engine, tenant, {job.reaction_id for job in page.items})
    rows = [
        (
            job.id,
            job.status,
            f"{job.attempt}/{job.max_attempts}",
            result_of(job),
            job.created_at,
            names.get(job.reaction_id, ""),
            short_reason(job.error) if output.is_terminal else job.error,
        )
        for job in page.items
    ]
    output.table(_COLUMNS, rows, "There are no such jobs.")
    output.more(page.next_cursor)


@app.command
async def show(job_id: JobId, /, *, tenant: Tenant = TENANT, common: Common = COMMON) -> None:
    """Show one job and its attempts."""
    from delivery.rendering import to_json
    from delivery.service.cursors import MAX_PAGE

    async with open_engine(common) as engine:
        job = await engine.jobs.get(
            await engine.ids.find("job", job_id, tenant_id=tenant), tenant_id=tenant
        )
        logs = await engine.logs.list(
            job_id=job.id, tenant_id=tenant, oldest_first=True, limit=MAX_PAGE
        )
        names = await reaction_names(engine, tenant, {job.reaction_id})
    output = common.output
    if common.json:
        attempts = [_attempt(log) for log in logs.items]
        output.json(to_json(job) | {"attempts": attempts})
        return
    _show(output, job, names.get(job.reaction_id))
    output.line()
    rows = [
        (
            log.attempt,
            log.outcome,
            result_of(log),
            duration(log.duration_ms),
            log.created_at,
            log.id,
            short_reason(log.error, log.endpoint) if output.is_terminal else log.error,
        )
        for log in logs.items
    ]
    output.table(_ATTEMPTS, rows, "No attempt has been made yet.")


@app.command
async def wait(
    *job_id: JobId,
    timeout: Annotated[float, Parameter(help="Seconds to wait for all of them.")] = 60.0,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> int:
    """Wait until jobs are finished. The id of a trigger means all of its jobs.

    Exit code 0 if all succeeded, 1 if one did not, 5 if --timeout is over first.
    """
    if not job_id:
        message = "no job was given to wait for; see `delivery jobs wait --help`"
        raise InvalidInput(message)
    async with open_engine(common) as engine:
        waits = [await _target(engine, each, tenant) for each in job_id]
        await warn_without_workers(engine, common.output)
        jobs = await _wait_for_all([wait(timeout) for wait in waits])
    for job in jobs:
        if common.json:
            common.output.json_line(job)
        else:
            show_finished(common.output, job)
    return exit_code_of(jobs)


async def _target(
    engine: "Engine", given: str, tenant: str
) -> "Callable[[float], Awaitable[Sequence[Job]]]":
    """Find a job, or a trigger, and return what waits for it or for all of its jobs.

    Raises:
        NotFound: if there is no such job and no such trigger.
    """
    try:
        job_id = await engine.ids.find("job", given, tenant_id=tenant)
        await engine.jobs.get(job_id, tenant_id=tenant)
    except NotFound as no_job:
        try:
            trigger_id = await engine.ids.find("trigger", given, tenant_id=tenant)
            await engine.triggers.get(trigger_id, tenant_id=tenant)
        except NotFound:
            raise no_job from None

        async def wait_for_trigger(timeout: float) -> "Sequence[Job]":
            return await engine.triggers.wait(trigger_id, timeout=timeout, tenant_id=tenant)

        return wait_for_trigger

    async def wait_for_job(timeout: float) -> "Sequence[Job]":
        return [await engine.jobs.wait(job_id, timeout=timeout, tenant_id=tenant)]

    return wait_for_job


async def _wait_for_all(waits: "Sequence[Awaitable[Sequence[Job]]]") -> "list[Job]":
    """Wait for all of these at once.

    Raises:
        JobTimeout: if a job is not finished in time.
    """
    import asyncio

    waiting = [asyncio.ensure_future(each) for each in waits]
    try:
        return [job for jobs in await asyncio.gather(*waiting) for job in jobs]
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def warn_without_workers(engine: "Engine", output: "Output") -> None:
    """Say at once that waiting is in vain as long as no worker runs."""
    if not await engine.living_workers():
        output.note(
            "No worker is running, so no call is made yet; start one with `delivery worker`."
        )


def exit_code_of(jobs: "Sequence[Job]") -> int:
    """0 if all succeeded, else 1."""
    return 0 if all(job.status == "succeeded" for job in jobs) else 1


def show_finished(output: "Output", job: "Job") -> None:
    """Print how a job ended, on one line."""
    after = counted(job.attempt, "attempt")
    code = "" if job.status_code is None else f", HTTP {job.status_code}"
    error = "" if job.error is None else f": {job.error}"
    output.line(f"{job.id} {job.status} after {after}{code}{error}")


def result_of(record: "Job | DeliveryLog") -> str:
    """Return the status of the response, or why there is none, such as `timeout`."""
    if record.status_code is not None:
        return str(record.status_code)
    return str(record.failure_kind or "")


async def id_or_none(
    engine: "Engine", kind: "IdKind", given: str | None, tenant: str
) -> UUID | None:
    """Return the whole id for what an option was given, if it was."""
    return None if given is None else await engine.ids.find(kind, given, tenant_id=tenant)


def _show(output: "Output", job: "Job", reaction: str | None) -> None:
    held = None if job.locked_by is None else f"worker {job.locked_by}"
    output.details(
        {
            "id": job.id,
            "status": job.status,
            "reaction": job.reaction_id and f"{reaction or ''} {job.reaction_id}".strip(),
            "trigger": job.trigger_id,
            "message": job.message_id,
            "attempts": f"{job.attempt} of {job.max_attempts}",
            "exhausted": "yes, it is a dead letter" if job.exhausted else None,
            "failure": job.failure_kind,
            "http": job.status_code,
            "error": job.error,
            "stalls": job.stalls or None,
            "held by": held,
            "priority": job.priority,
            "user": job.user_id,
            "created": job.created_at,
            "due": job.run_at if job.finished_at is None else None,
            "deadline": job.deadline,
            "started": job.started_at,
            "finished": job.finished_at,
        }
    )


def _attempt(log: "DeliveryLog") -> dict[str, object]:
    """What `jobs show --json` says of an attempt; `logs show` has the rest."""
    return {
        "log_id": str(log.id),
        "attempt": log.attempt,
        "outcome": log.outcome.value,
        "status_code": log.status_code,
        "failure_kind": log.failure_kind,
        "error": log.error,
        "duration_ms": log.duration_ms,
        "created_at": log.created_at,
    }


async def reaction_names(
    engine: "Engine", tenant: str, ids: set[UUID | None]
) -> dict[UUID | None, str]:
    """Return the names of reactions; `(deleted)` for one that is deleted."""
    given = {reaction_id for reaction_id in ids if reaction_id is not None}
    found = await engine.ids.reaction_names(given, tenant_id=tenant)
    return {reaction_id: found.get(reaction_id, "(deleted)") for reaction_id in given}
