"""All commands in one place, and what becomes of their errors."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING, Final

import uvloop
from cyclopts import App, CycloptsError, Parameter
from rich.console import Console

from delivery.errors import DeliveryError, InvalidInput
from delivery.rendering import dump_json, escape_controls

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["build_app", "run"]

_INTERRUPTED: Final = 130
"""128 and the number of SIGINT, as shells count."""
_NOBODY_READS: Final = 141
"""128 and the number of SIGPIPE."""

_COMMANDS: Final = {
    "demo": (
        "demo.command:demo",
        "See it work: receiver, reactions, 1,000 triggers, and the sums.",
    ),
    "serve": ("worker:serve", "Run the daemon: for now this is the same as `worker`."),
    "worker": ("worker:worker", "Deliver until told to stop."),
    "migrate": ("migrations:migrate", "Bring the database's schema up to date."),
    "doctor": ("doctor.command:doctor", "Check database, schema, clock, notifications, delivery."),
    "reactions": ("reactions:app", "What is to be done about triggers."),
    "trigger": ("triggers:trigger", "Say that something happened."),
    "jobs": ("jobs:app", "The calls to make, and how they stand."),
    "logs": ("logs:app", "Every exchange, as it was recorded."),
    "listen": ("listen:listen", "Receive webhooks here: show and verify what arrives."),
    "config": ("configuration:app", "The settings in force, and who set them."),
}

_EPILOGUE: Final = """\
Every command takes --json, --database-url, --config and --set. Settings also come from the
environment, as DELIVERY_<SECTION>_<KEY>; `delivery config show --explain` lists them.

Exit codes:
  0    done
  1    something failed, or does not add up
  2    the command, or a value in it, cannot be used
  3    the database cannot be used
  4    there is no such thing
  5    waited in vain
  6    the port is in use
  130  interrupted
  141  nobody reads the output
"""


def build_app() -> App:
    """The command line; a command's module is imported when it is called."""
    app = App(
        name="delivery",
        help="Webhook delivery on PostgreSQL: fan-out, retries, a log of every exchange.",
        help_epilogue=_EPILOGUE,
        help_format="plaintext",
        help_formatter="default" if sys.stdout.isatty() else "plain",
        version=_version,
        default_parameter=Parameter(negative=(), show_default=_default),
        result_action="return_value",
        console=Console(soft_wrap=not sys.stdout.isatty()),
    )
    for rank, (name, (path, text)) in enumerate(_COMMANDS.items()):
        target = f"delivery.cli.{path}"
        app.command(target, name=name, help=text, sort_key=rank, help_epilogue="")
    app.register_install_completion_command(help="Let the shell complete commands and options.")
    return app


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Every error becomes one line on standard error."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(_call(given))
        sys.stdout.flush()
    except DeliveryError as error:
        _report(str(error), error.code, as_json=as_json)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # What is left in the buffer would be written at exit, and fail there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NOBODY_READS
    except Exception as error:
        logging.getLogger(__name__).debug("the command failed", exc_info=True)
        text = f"{type(error).__name__}: {error} (for more: --set log.level=debug)"
        _report(text, DeliveryError.code, as_json=as_json)
        return DeliveryError.exit_code
    return code


async def _call(arguments: Sequence[str]) -> int:
    try:
        result = await build_app().run_async(arguments, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        text = " ".join(str(error).split())
        message = f"{text.rstrip('.')}; see `delivery --help`"
        raise InvalidInput(message) from error
    return result if isinstance(result, int) else 0


def _report(message: str, code: str, *, as_json: bool) -> None:
    if as_json:
        line = dump_json({"error": {"code": code, "message": message}})
    else:
        line = f"error: {escape_controls(message)}"
    sys.stderr.write(line.encode(errors="backslashreplace").decode() + "\n")


def _default(value: object) -> str | None:
    """What the help says of a default; nothing where there is nothing to say."""
    return str(value) if value else None


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - rarely asked

    try:
        return version("delivery")
    except PackageNotFoundError:
        return "unknown (not installed)"
