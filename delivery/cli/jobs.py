"""`delivery jobs`: the calls to make, and how they stand."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

import asyncio
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from cyclopts import App, Parameter

from delivery.cli.options import COMMON, TENANT, Common, Tenant, open_engine
from delivery.cli.render import Column, Output, duration
from delivery.errors import InvalidInput, NotFound
from delivery.models import DeliveryLog, Job, JobStatus
from delivery.rendering import to_json
from delivery.service import Engine
from delivery.service.cursors import MAX_PAGE

__all__ = ["app", "exit_code_of", "reaction_names", "show_finished", "wait_for_jobs"]

app = App(name="jobs", help="The calls to make, and how they stand.", help_epilogue="")

_COLUMNS = (
    Column("ID"),
    Column("STATUS"),
    Column("TRIES", rank=1, right=True),
    Column("HTTP", rank=1, right=True),
    Column("CREATED", rank=2),
    Column("REACTION", rank=3, flexible=8),
    Column("ERROR", rank=4, flexible=16),
)
_ATTEMPTS = (
    Column("TRY", right=True),
    Column("OUTCOME"),
    Column("HTTP", right=True),
    Column("MS", right=True),
    Column("AT", rank=2),
    Column("LOG", rank=1),
    Column("ERROR", rank=3, flexible=16),
)


@app.command(name="list")
async def list_(
    *,
    status: Annotated[str | None, Parameter(help="Such as queued, retrying, failed.")] = None,
    trigger: Annotated[str | None, Parameter(help="Id of the trigger they come from.")] = None,
    reaction: Annotated[str | None, Parameter(help="Id of the reaction they are for.")] = None,
    oldest_first: Annotated[bool, Parameter(help="Instead of newest first.")] = False,
    limit: Annotated[int, Parameter(help="At most this many, up to 200.")] = 50,
    cursor: Annotated[str | None, Parameter(help="Where the page before ended.")] = None,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """Show jobs, newest first."""
    output = common.output
    async with open_engine(common) as engine:
        page = await engine.jobs.list(
            tenant_id=tenant,
            status=status,
            trigger_id=trigger,
            reaction_id=reaction,
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
            job.status_code,
            job.created_at,
            names.get(job.reaction_id, ""),
            job.error,
        )
        for job in page.items
    ]
    output.table(_COLUMNS, rows, "There are no such jobs.")
    output.more(page.next_cursor)


@app.command
async def show(job_id: str, /, *, tenant: Tenant = TENANT, common: Common = COMMON) -> None:
    """Show one job and its attempts."""
    async with open_engine(common) as engine:
        job = await engine.jobs.get(job_id, tenant_id=tenant)
        logs = await engine.logs.list(
            job_id=job.id, tenant_id=tenant, oldest_first=True, limit=MAX_PAGE
        )
        names = await reaction_names(engine, tenant, {job.reaction_id})
    if common.json:
        attempts = [_attempt(log) for log in logs.items]
        common.output.json(to_json(job) | {"attempts": attempts})
        return
    _show(common.output, job, names.get(job.reaction_id))
    common.output.line()
    rows = [
        (
            log.attempt,
            log.outcome,
            log.status_code,
            duration(log.duration_ms),
            log.created_at,
            log.id,
            log.error,
        )
        for log in logs.items
    ]
    common.output.table(_ATTEMPTS, rows, "No attempt has been made yet.")


@app.command
async def wait(
    *job_id: str,
    timeout: Annotated[float, Parameter(help="Seconds to wait for all of them.")] = 60.0,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> int:
    """Wait until jobs are finished.

    Exit code 0 if all succeeded, 1 if one did not, 5 if it takes longer than --timeout.
    """
    if not job_id:
        message = "no job was given to wait for; see `delivery jobs wait --help`"
        raise InvalidInput(message)
    async with open_engine(common) as engine:
        jobs = await wait_for_jobs(engine, job_id, timeout, tenant)
    for job in jobs:
        if common.json:
            common.output.json_line(job)
        else:
            show_finished(common.output, job)
    return exit_code_of(jobs)


async def wait_for_jobs(
    engine: Engine, jobs: Sequence[UUID | str], timeout: float, tenant: str
) -> list[Job]:
    """Wait until all of these are finished, `timeout` seconds at most for all together.

    Raises:
        JobTimeout: if one is not.
        NotFound: if there is no such job.
    """
    waiting = [
        asyncio.ensure_future(engine.jobs.wait(each, timeout=timeout, tenant_id=tenant))
        for each in jobs
    ]
    try:
        return list(await asyncio.gather(*waiting))
    finally:
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def exit_code_of(jobs: Sequence[Job]) -> int:
    """0 if all succeeded, else 1."""
    return 0 if all(job.status is JobStatus.SUCCEEDED for job in jobs) else 1


def show_finished(output: Output, job: Job) -> None:
    """Print how a job ended, on one line."""
    after = "1 attempt" if job.attempt == 1 else f"{job.attempt} attempts"
    code = "" if job.status_code is None else f", HTTP {job.status_code}"
    error = "" if job.error is None else f": {job.error}"
    output.line(f"{job.id} {job.status} after {after}{code}{error}")


def _show(output: Output, job: Job, reaction: str | None) -> None:
    held = None if job.locked_by is None else f"worker {job.locked_by}"
    output.details(
        {
            "id": job.id,
            "status": job.status,
            "reaction": job.reaction_id and f"{reaction or ''} {job.reaction_id}".strip(),
            "trigger": job.trigger_id,
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


def _attempt(log: DeliveryLog) -> dict[str, object]:
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
    engine: Engine, tenant: str, ids: set[UUID | None]
) -> dict[UUID | None, str]:
    """The names of reactions, as far as there still is one."""
    names: dict[UUID | None, str] = {}
    for reaction_id in ids - {None}:
        assert reaction_id is not None
        try:
            names[reaction_id] = (await engine.reactions.get(reaction_id, tenant_id=tenant)).name
        except NotFound:
            names[reaction_id] = "(deleted)"
    return names
