"""`delivery triggers`: the recorded events, and the states of their jobs."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from delivery.cli.jobs import (
    exit_code_of,
    reaction_names,
    result_of,
    show_finished,
    warn_without_workers,
)
from delivery.cli.layout import Column, short_reason
from delivery.cli.options import COMMON, TENANT, Common, Tenant, open_engine

if TYPE_CHECKING:
    from delivery.models import TriggerStatus

__all__ = ["app"]

app = App(
    name="triggers",
    help="List, show and wait for triggers: the events that were recorded.",
    help_epilogue="",
)

_COLUMNS = (
    Column("ID", tail=12),
    Column("TYPE", flexible=12),
    Column("CREATED", rank=1),
    Column("STATE"),
    Column("JOBS", rank=2, flexible=16),
)
_JOBS = (
    Column("JOB", tail=12),
    Column("STATUS"),
    Column("TRIES", rank=2, right=True),
    Column("HTTP"),
    Column("REACTION", rank=1, flexible=8),
    Column("ERROR", rank=3, flexible=16),
)

TriggerId = Annotated[
    str,
    Parameter(help="Id of the trigger, its first or last digits, or the webhook-id of a request."),
]


@app.command(name="list")
async def list_(
    *,
    type_: Annotated[
        str | None, Parameter(name="--type", help="Show only events of this type.")
    ] = None,
    limit: Annotated[int, Parameter(help="Show at most this many, up to 200.")] = 50,
    cursor: Annotated[str | None, Parameter(help="Go on after the page that gave this.")] = None,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """List triggers, newest first, with the states of their jobs."""
    from delivery.rendering import to_json

    output = common.output
    async with open_engine(common) as engine:
        page = await engine.triggers.list(tenant_id=tenant, type=type_, limit=limit, cursor=cursor)
        statuses = await engine.triggers.statuses(page.items, tenant_id=tenant)
    if common.json:
        items = []
        for trigger, status in zip(page.items, statuses, strict=True):
            # Only `triggers show` gives the ids of the jobs.
            shown = {name: each for name, each in to_json(trigger).items() if name != "jobs"}
            items.append(shown | _status(status))
        output.json({"items": items, "next_cursor": page.next_cursor})
        return
    rows = [
        (trigger.id, trigger.type, trigger.created_at, _state(status), _counts(status))
        for trigger, status in zip(page.items, statuses, strict=True)
    ]
    output.table(_COLUMNS, rows, "There are no such triggers.")
    output.more(page.next_cursor)


@app.command
async def show(
    trigger_id: TriggerId, /, *, tenant: Tenant = TENANT, common: Common = COMMON
) -> None:
    """Show one trigger: its payload, its jobs, and their states."""
    from delivery.rendering import to_json
    from delivery.service.cursors import MAX_PAGE

    output = common.output
    async with open_engine(common) as engine:
        key = await engine.ids.find("trigger", trigger_id, tenant_id=tenant)
        trigger = await engine.triggers.get(key, tenant_id=tenant)
        status = await engine.triggers.status(key, tenant_id=tenant)
        if common.json:
            output.json(to_json(trigger) | _status(status))
            return
        jobs = await engine.jobs.list(
            trigger_id=key, tenant_id=tenant, oldest_first=True, limit=MAX_PAGE
        )
        names = await reaction_names(engine, tenant, {job.reaction_id for job in jobs.items})
    output.details(
        {
            "id": trigger.id,
            "type": trigger.type,
            "created": trigger.created_at,
            "state": _state(status),
            "jobs": _counts(status),
        }
    )
    output.line()
    output.line("payload", "bold")
    output.body(trigger.payload)
    output.line()
    rows = [
        (
            job.id,
            job.status,
            f"{job.attempt}/{job.max_attempts}",
            result_of(job),
            names.get(job.reaction_id, ""),
            short_reason(job.error) if output.is_terminal else job.error,
        )
        for job in jobs.items
    ]
    output.table(_JOBS, rows, "No reaction matched, so there is no job.")
    if jobs.next_cursor is not None:
        output.note(f"There are more: `delivery jobs list --trigger {trigger.id}` has all of them.")


@app.command
async def wait(
    trigger_id: TriggerId,
    /,
    *,
    timeout: Annotated[float, Parameter(help="Seconds to wait for all of its jobs.")] = 60.0,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> int:
    """Wait until all jobs of a trigger are finished.

    Exit code 0 if all succeeded, 1 if one did not, 5 if --timeout is over first.
    """
    output = common.output
    async with open_engine(common) as engine:
        key = await engine.ids.find("trigger", trigger_id, tenant_id=tenant)
        await warn_without_workers(engine, output)
        jobs = await engine.triggers.wait(key, timeout=timeout, tenant_id=tenant)
    for job in jobs:
        if common.json:
            output.json_line(job)
        else:
            show_finished(output, job)
    if not jobs:
        output.note("No reaction matched, so there is no job to wait for.")
    return exit_code_of(jobs)


def _status(status: "TriggerStatus") -> dict[str, object]:
    """Return what programs read about the jobs of a trigger."""
    return {
        "state": status.state.value,
        "job_count": status.jobs,
        "job_counts": {each.value: count for each, count in status.counts.items()},
    }


def _state(status: "TriggerStatus") -> str:
    return status.state.value.replace("_", " ")


def _counts(status: "TriggerStatus") -> str:
    """Return `2 succeeded, 1 failed`."""
    return ", ".join(f"{count:,} {each.value}" for each, count in sorted(status.counts.items()))
