"""`delivery logs`: every exchange, as it was recorded."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from dataclasses import dataclass
from typing import Annotated

from cyclopts import App, Parameter

from delivery.cli.options import COMMON, TENANT, Common, Tenant, open_engine
from delivery.cli.render import Column, Output, duration, moment
from delivery.models import DeliveryLog, HttpMessage, Timings
from delivery.service.logs import LogFilter

__all__ = ["app"]

app = App(name="logs", help="Every exchange, as it was recorded.", help_epilogue="")

_COLUMNS = (
    Column("ID"),
    Column("OUTCOME"),
    Column("HTTP", right=True),
    Column("MS", right=True),
    Column("TRY", rank=3, right=True),
    Column("AT", rank=2),
    Column("ENDPOINT", rank=1, flexible=14),
    Column("ERROR", rank=4, flexible=16),
)


@Parameter(name="*")
@dataclass(frozen=True)
class Which:
    """What log rows can be picked by."""

    job: Annotated[str | None, Parameter(help="Id of the job.")] = None
    trigger: Annotated[str | None, Parameter(help="Id of the trigger.")] = None
    reaction: Annotated[str | None, Parameter(help="Id of the reaction.")] = None
    outcome: Annotated[str | None, Parameter(help="succeeded, retried, failed, late or lost.")] = (
        None
    )
    status_code: Annotated[int | None, Parameter(help="The answer's, such as 503.")] = None
    tenant: Tenant = TENANT

    @property
    def where(self) -> LogFilter:
        """The same for the engine."""
        return {
            "tenant_id": self.tenant,
            "job_id": self.job,
            "trigger_id": self.trigger,
            "reaction_id": self.reaction,
            "outcome": self.outcome,
            "status_code": self.status_code,
        }


WHICH = Which()


@app.command(name="list")
async def list_(
    *,
    which: Which = WHICH,
    oldest_first: Annotated[bool, Parameter(help="Instead of newest first.")] = False,
    limit: Annotated[int, Parameter(help="At most this many, up to 200.")] = 50,
    cursor: Annotated[str | None, Parameter(help="Where the page before ended.")] = None,
    common: Common = COMMON,
) -> None:
    """Show exchanges, newest first."""
    async with open_engine(common) as engine:
        page = await engine.logs.list(
            oldest_first=oldest_first, limit=limit, cursor=cursor, **which.where
        )
    output = common.output
    if common.json:
        output.json(page)
        return
    rows = [
        (
            log.id,
            log.outcome,
            log.status_code,
            duration(log.duration_ms),
            log.attempt,
            log.created_at,
            log.endpoint.partition("://")[2] if output.is_terminal else log.endpoint,
            log.error,
        )
        for log in page.items
    ]
    output.table(_COLUMNS, rows, "There are no such log rows.")
    output.more(page.next_cursor)


@app.command
async def show(log_id: str, /, *, tenant: Tenant = TENANT, common: Common = COMMON) -> None:
    """Show one exchange: request, answer, and how long each part took."""
    async with open_engine(common) as engine:
        log = await engine.logs.get(log_id, tenant_id=tenant)
    if common.json:
        common.output.json(log)
    else:
        _show(common.output, log)


@app.command
async def follow(*, which: Which = WHICH, common: Common = COMMON) -> None:
    """Show exchanges as they are recorded, until interrupted; with --json one a line."""
    output = common.output
    async with open_engine(common) as engine:
        output.note("Waiting for exchanges; Ctrl-C ends.")
        async for log in engine.logs.follow(**which.where):
            if common.json:
                output.json_line(log)
            else:
                _line(output, log)


def _line(output: Output, log: DeliveryLog) -> None:
    code = "-" if log.status_code is None else log.status_code
    parts = [
        moment(log.created_at),
        f"{log.outcome:<9}",
        f"{code:>3}",
        f"{duration(log.duration_ms):>6} ms",
        f"try {log.attempt}",
        f"{log.method} {log.endpoint}",
        (log.error or "").replace("\n", " "),
    ]
    output.line("  ".join(part for part in parts if part))


def _show(output: Output, log: DeliveryLog) -> None:
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
        output.line("no answer", "bold")
    else:
        output.line(f"HTTP {log.status_code}", "bold")
        _message(output, log.response)


def _message(output: Output, message: HttpMessage | None) -> None:
    if message is None:
        output.line("  not known: the worker died with it")
        return
    for name, value in message.headers:
        output.line(f"  {name}: {value}", "dim")
    output.body(message.body)
    if message.truncated:
        output.line(f"  … {len(message.body):,} of {message.body_size:,} bytes", "dim")
