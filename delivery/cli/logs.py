"""`delivery logs`: list, show and follow delivery logs."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from delivery.cli.jobs import id_or_none, result_of
from delivery.cli.layout import Column, short_reason
from delivery.cli.options import COMMON, TENANT, Common, Tenant, open_engine
from delivery.cli.times import duration, moment
from delivery.wording import counted

if TYPE_CHECKING:
    from delivery.cli.render import Output
    from delivery.models import DeliveryLog, HttpMessage
    from delivery.service import Engine
    from delivery.service.logs import LogFilter

__all__ = ["app"]

app = App(name="logs", help="List, show and follow delivery logs.", help_epilogue="")

_COLUMNS = (
    Column("ID", tail=12),
    Column("OUTCOME"),
    Column("HTTP"),
    Column("MS", rank=4, right=True),
    Column("TRY", rank=5, right=True),
    Column("AT", rank=1),
    Column("ENDPOINT", rank=2, flexible=14),
    Column("ERROR", rank=3, flexible=16),
)


@Parameter(name="*")
@dataclass(frozen=True)
class Which:
    """The filter options of log rows."""

    job: Annotated[str | None, Parameter(help="Id of the job.")] = None
    trigger: Annotated[str | None, Parameter(help="Id of the trigger.")] = None
    reaction: Annotated[str | None, Parameter(help="Id of the reaction.")] = None
    outcome: Annotated[str | None, Parameter(help="succeeded, retried, failed, late or lost.")] = (
        None
    )
    status_code: Annotated[int | None, Parameter(help="Status of the response, such as 503.")] = (
        None
    )
    tenant: Tenant = TENANT

    async def where(self, engine: "Engine") -> "LogFilter":
        """Return the engine's filter, with complete ids."""
        tenant = self.tenant
        return {
            "tenant_id": tenant,
            "job_id": await id_or_none(engine, "job", self.job, tenant),
            "trigger_id": await id_or_none(engine, "trigger", self.trigger, tenant),
            "reaction_id": await id_or_none(engine, "reaction", self.reaction, tenant),
            "outcome": self.outcome,
            "status_code": self.status_code,
        }


WHICH = Which()

LogId = Annotated[str, Parameter(help="Id of the log row, or the first or last digits of it.")]


@app.command(name="list")
async def list_(
    *,
    which: Which = WHICH,
    oldest_first: Annotated[bool, Parameter(help="List the oldest first.")] = False,
    limit: Annotated[int, Parameter(help="Maximum number of rows, up to 200.")] = 50,
    cursor: Annotated[
        str | None, Parameter(help="Resume after this page: the cursor it printed.")
    ] = None,
    common: Common = COMMON,
) -> None:
    """List delivery logs, newest first."""
    async with open_engine(common) as engine:
        where = await which.where(engine)
        page = await engine.logs.list(
            oldest_first=oldest_first, limit=limit, cursor=cursor, **where
        )
    output = common.output
    if common.json:
        output.json(page)
        return
    rows = [
        (
            log.id,
            log.outcome,
            result_of(log),
            duration(log.duration_ms),
            log.attempt,
            log.created_at,
            log.endpoint.partition("://")[2] if output.is_terminal else log.endpoint,
            short_reason(log.error, log.endpoint) if output.is_terminal else log.error,
        )
        for log in page.items
    ]
    output.table(_COLUMNS, rows, "No log rows found.")
    output.more(page.next_cursor)


@app.command
async def show(log_id: LogId, /, *, tenant: Tenant = TENANT, common: Common = COMMON) -> None:
    """Show one delivery log: request, response and timings."""
    async with open_engine(common) as engine:
        key = await engine.ids.find("log", log_id, tenant_id=tenant)
        log = await engine.logs.get(key, tenant_id=tenant)
    if common.json:
        common.output.json(log)
    else:
        _show(common.output, log)


@app.command
async def follow(*, which: Which = WHICH, common: Common = COMMON) -> None:
    """Print new delivery logs until interrupted; with --json, one per line."""
    output = common.output
    async with open_engine(common) as engine:
        where = await which.where(engine)
        output.note("Waiting for log rows; press Ctrl-C to stop.")
        async for log in engine.logs.follow(**where):
            if common.json:
                output.json_line(log)
            else:
                _line(output, log)


def _line(output: "Output", log: "DeliveryLog") -> None:
    parts = [
        moment(log.created_at),
        f"{log.outcome:<9}",
        f"{result_of(log) or '-':<3}",
        f"{duration(log.duration_ms):>6} ms",
        f"try {log.attempt}",
        f"{log.method} {log.endpoint}",
        (log.error or "").replace("\n", " "),
    ]
    output.line("  ".join(part for part in parts if part))


def _show(output: "Output", log: "DeliveryLog") -> None:
    from delivery.models import Timings

    timings = log.timings or Timings()
    steps = {
        "dns": timings.dns_ms,
        "connect": timings.connect_ms,
        "tls": timings.tls_ms,
        "send": timings.send_ms,
        "first byte": timings.first_byte_ms,
        "total": log.duration_ms,
    }
    shown = [f"{name} {duration(value)}" for name, value in steps.items() if value is not None]
    output.details(
        {
            "id": log.id,
            "outcome": log.outcome,
            "http": log.status_code,
            "failure": log.failure_kind,
            "error": log.error,
            "attempt": log.attempt,
            "job": log.job_id,
            "trigger": log.trigger_id,
            "reaction": log.reaction_id,
            "at": log.created_at,
            "redirects": " → ".join(f"{each.status_code} {each.location}" for each in log.redirects)
            or None,
            "address": log.remote_address
            and f"{log.remote_address}{' (open connection)' if log.reused else ''}",
            "ms": " · ".join(shown) or None,
            "worker": log.worker_id,
        }
    )
    output.line()
    output.line(f"{log.method} {log.endpoint}", "bold")
    _message(output, log.request)
    output.line()
    if log.response is None:
        output.line("no response", "bold")
    else:
        output.line(f"HTTP {log.status_code}", "bold")
        _message(output, log.response)


def _message(output: "Output", message: "HttpMessage | None") -> None:
    if message is None:
        output.line("  unknown: the worker died during the request")
        return
    for name, value in message.headers:
        output.line(f"  {name}: {value}", "dim")
    output.body(message.body)
    if message.truncated:
        output.line(f"  … {len(message.body):,} of {counted(message.body_size, 'byte')}", "dim")
