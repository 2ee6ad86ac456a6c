"""`delivery demo`: run the scenario and print the report."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

import asyncio
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from delivery.cli.demo.receiver_process import receiving
from delivery.cli.demo.report import Check, EndpointReport, Happened, check, summarise
from delivery.cli.demo.run import Run, deliver, reacting, send
from delivery.cli.demo.scenario import ENDPOINTS
from delivery.cli.layout import Column
from delivery.cli.options import COMMON, Common, load, open_engine
from delivery.cli.render import Output
from delivery.cli.times import duration
from delivery.errors import InvalidInput
from delivery.message.redaction.by_name import REDACTED
from delivery.message.signing import generate_secret
from delivery.models import Outcome
from delivery.service.database import name_database
from delivery.service.stopping import when_told_to_stop
from delivery.settings import Settings, without_password

__all__ = ["command_lines", "demo", "options_of"]

_LONGER_THAN_THE_DEMO = 3_600.0

_COLUMNS = (
    Column("ENDPOINT"),
    Column("DOES", rank=1, flexible=12),
    Column("JOBS", right=True),
    Column("CALLS", right=True),
    Column("OK", right=True),
    Column("RETRIED", right=True),
    Column("DEAD", right=True),
    Column("GONE", right=True),
    Column("SKIPPED", right=True),
    Column("P50 MS", right=True),
    Column("P99 MS", right=True),
)


async def demo(
    *,
    triggers: Annotated[int, Parameter(help="Number of triggers.")] = 1_000,
    keep: Annotated[
        bool, Parameter(help="Continue to run after the report, until Ctrl-C.")
    ] = False,
    common: Common = COMMON,
) -> int:
    """Run a demo: a receiver, 6 reactions, 1,000 triggers and a report.

    Exit code 1 if a check of the report fails. Each run uses a new tenant; its records remain
    for inspection.
    """
    if triggers < 1:
        message = f"--triggers is {triggers}; it must be at least 1"
        raise InvalidInput(message)
    output = common.output
    settings = _for_the_demo(load(common))
    secrets = {endpoint.path: generate_secret() for endpoint in ENDPOINTS}
    if settings.database.url is None:
        output.say("starting the embedded PostgreSQL and a receiver process …")
    async with (
        receiving(secrets) as receiver,
        open_engine(common, settings) as engine,
        reacting(engine, receiver, secrets) as run,
    ):
        output.say(f"database   {name_database(settings)}")
        output.say(f"receiver   {receiver.url}")
        started = time.perf_counter()
        written = await send(run, triggers)
        took = time.perf_counter() - started
        output.say(f"written    {triggers:,} triggers, {written:,} jobs in {took:.2f} s")
        began = time.perf_counter()
        async with engine.workers():
            happened = await deliver(run, written, output)
            seconds = time.perf_counter() - began
            calls = len(happened.logs)
            output.say(f"delivered  {calls:,} calls in {seconds:.1f} s, retries included")
            ok = _report(common, run, happened, seconds)
            if keep:
                await _serve(output, run, common)
    return 0 if ok else 1


def _for_the_demo(settings: Settings) -> Settings:
    """Allow loopback, and let jobs of the endpoint `failing` use all their attempts.

    With default settings, its circuit breaker would open on a slow machine and hold its jobs.
    """
    networks = (*settings.http.allowed_networks, "127.0.0.0/8")
    http = settings.http.model_copy(
        update={"allowed_networks": networks, "allowed_ports": None, "require_https": False}
    )
    health = settings.health.model_copy(
        update={"open_after": _LONGER_THAN_THE_DEMO, "open_at_latest": _LONGER_THAN_THE_DEMO}
    )
    return settings.model_copy(update={"http": http, "health": health})


def _report(common: Common, run: Run, happened: Happened, seconds: float) -> bool:
    """Print the report, and return True if all checks passed."""
    rows = summarise(happened)
    checks = check(happened, rows)
    ok = all(each.ok for each in checks)
    commands = _commands(run, happened, common)
    output = common.output
    if common.json:
        output.json(
            {
                "ok": ok,
                "tenant_id": run.tenant,
                "jobs": len(happened.jobs),
                "attempts": len(happened.logs),
                "seconds": round(seconds, 3),
                "endpoints": rows,
                "checks": checks,
                "commands": commands,
            }
        )
        return ok
    _print(output, rows, checks)
    output.line()
    output.line("Next steps:", "bold")
    for command in commands:
        for line in command_lines(command, output.width):
            output.line(f"  {line}")
    return ok


def _print(output: Output, rows: Sequence[EndpointReport], checks: Sequence[Check]) -> None:
    output.line()
    cells = [
        (
            row.endpoint,
            row.does,
            f"{row.jobs:,}",
            f"{row.attempts:,}",
            f"{row.succeeded:,}",
            f"{row.retried:,}",
            f"{row.dead:,}",
            f"{row.gone:,}",
            f"{row.skipped:,}",
            duration(row.p50_ms),
            duration(row.p99_ms),
        )
        for row in rows
    ]
    output.table(_COLUMNS, cells, "No endpoints.")
    output.line()
    output.line("dead: all attempts failed. gone: the response 410 disabled the reaction;")
    output.line("its other jobs are skipped without a request.")
    output.line()
    for each in checks:
        output.marked("✓" if each.ok else "✗", each.check, each.detail, width=24)


def _commands(run: Run, happened: Happened, common: Common) -> list[str]:
    """Return commands that show more of this run, ready to paste into a shell."""
    options = options_of(run.tenant, common)
    dead = next((job.id for job in happened.jobs if job.exhausted), None)
    retried = next((log for log in happened.logs if log.outcome is Outcome.RETRIED), None)
    words = [["reactions", "list"], ["jobs", "list", "--status", "failed", "--limit", "5"]]
    if dead is not None:
        words.append(["jobs", "show", str(dead)])
    words.append(["logs", "list", "--outcome", "retried", "--limit", "5"])
    if retried is not None:
        words.append(["logs", "show", str(retried.id)])
    return [shlex.join([*_program(), *each, *options]) for each in words]


def options_of(tenant: str, common: Common) -> list[str]:
    """Return the options that select this run's records, with passwords replaced by `***`."""
    options = ["--tenant", tenant]
    if common.database_url is not None:
        options += ["--database-url", _without_password(common.database_url)]
    if common.config is not None:
        options += ["--config", str(common.config)]
    for assignment in common.set:
        name, _, value = assignment.partition("=")
        options += ["--set", f"{name}={_without_secrets(name.strip(), value)}"]
    return options


def _without_secrets(name: str, value: str) -> str:
    if name == "database.url":
        return _without_password(value)
    return REDACTED if name == "secrets.keys" else value


def _without_password(url: str) -> str:
    """Redact the password of a URL; return a URL without one unchanged."""
    shown = without_password(url)
    return shown if "***" in shown else url


def command_lines(command: str, width: int | None) -> list[str]:
    """Split a command that is too wide for the terminal into two lines of shell."""
    words, _, options = command.partition(" --tenant ")
    if width is None or len(command) + 2 <= width:
        return [command]
    return [f"{words} \\", f"    --tenant {options}"]


def _program() -> list[str]:
    """Return the words that started this program."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return [os.path.relpath(sys.executable), "-m", "delivery"]
    return ["delivery" if called.parent == Path() else os.path.relpath(called)]


async def _serve(output: Output, run: Run, common: Common) -> None:
    """Continue delivery until interrupted."""
    words = ["trigger", "order.paid", '{"order": 1}']
    command = shlex.join([*_program(), *words, *options_of(run.tenant, common)])
    stop = asyncio.Event()
    with when_told_to_stop(stop.set):
        output.say("")
        output.say("Still running; press Ctrl-C to stop. In another terminal:")
        for line in command_lines(command, output.width):
            output.say(f"  {line}")
        await stop.wait()
