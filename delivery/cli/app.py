"""All commands in one place, and what becomes of their errors."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

from cyclopts import App, CycloptsError, Parameter, UnusedCliTokensError
from rich.console import Console

from delivery.cli.configuration import app as configuration
from delivery.cli.demo.command import demo
from delivery.cli.doctor.command import doctor
from delivery.cli.jobs import app as jobs
from delivery.cli.listen import listen
from delivery.cli.logs import app as logs
from delivery.cli.migrations import migrate
from delivery.cli.reaction_requests import reactions
from delivery.cli.secrets import app as secrets
from delivery.cli.triggers import trigger
from delivery.cli.worker import serve, worker
from delivery.errors import DeliveryError, InvalidInput
from delivery.observe.hiding import hide
from delivery.rendering import dump_json, escape_controls, writes_utf8
from delivery.service.own_process import loop_factory
from delivery.settings import without_password

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["EPILOGUE", "build_app", "invoke", "run"]

_INTERRUPTED: Final = 130
"""128 and the number of SIGINT, as shells count."""
_NOBODY_READS: Final = 141
"""128 and the number of SIGPIPE."""

_COMMANDS: Final[tuple[App | Callable[..., Any], ...]] = (
    demo,
    serve,
    worker,
    migrate,
    doctor,
    reactions,
    trigger,
    jobs,
    logs,
    listen,
    secrets,
    configuration,
)
"""In the order of the help."""

EPILOGUE: Final = """\
Every command takes --json, --database-url, --config, --set and --debug. Settings come from the
environment too, as DELIVERY_SECTION_KEY; `delivery config show --explain` tells about all of them.

Exit codes:

- 0: done
- 1: something failed, or does not add up
- 2: the command, or a value in it, cannot be used
- 3: the database cannot be used
- 4: there is no such thing
- 5: waited in vain
- 6: the port is in use
- 130: interrupted
- 141: nobody reads the output
"""


def build_app() -> App:
    """The command line."""
    app = App(
        name="delivery",
        help="Webhook delivery on PostgreSQL: fan-out, retries, a log of every exchange.",
        help_epilogue=EPILOGUE,
        help_format="markdown",
        help_formatter="default" if sys.stdout.isatty() else "plain",
        version=_version,
        default_parameter=Parameter(negative=(), show_default=_default),
        result_action="return_value",
        console=Console(soft_wrap=not sys.stdout.isatty()),
    )
    for rank, command in enumerate(_COMMANDS):
        if isinstance(command, App):
            command.sort_key = rank
            app.command(command)
        else:
            app.command(command, sort_key=rank, help_epilogue="")
    app.register_install_completion_command(help="Let the shell complete commands and options.")
    return app


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _fill_standard_streams()
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            code = runner.run(invoke(given))
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # What is left in the buffer would be written at exit, and fail there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NOBODY_READS
    return code


async def invoke(arguments: Sequence[str]) -> int:
    """Run one command on the loop that runs; every error becomes one line on standard error."""
    as_json = "--json" in arguments
    try:
        result = await build_app().run_async(arguments, exit_on_error=False, print_error=False)
    except UnusedCliTokensError as error:
        return _report_usage(error, _unused(error.unused_tokens or []), as_json=as_json)
    except CycloptsError as error:
        text = " ".join(_without_passwords(str(error), arguments).split())
        text = text.removesuffix(", ...").rstrip(".")
        return _report_usage(error, text, as_json=as_json)
    except DeliveryError as error:
        _report(str(error), error.code, as_json=as_json)
        return error.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug, of which people want to read one line first
        if "--debug" in arguments:
            sys.stderr.write(escape_controls(hide(traceback.format_exc())))
        text = hide(f"{type(error).__name__}: {error} (this is a bug; --debug shows where)")
        _report(text, DeliveryError.code, as_json=as_json)
        return DeliveryError.exit_code
    return result if isinstance(result, int) else 0


def _report_usage(error: CycloptsError, text: str, *, as_json: bool) -> int:
    chain = " ".join(["delivery", *(error.command_chain or ())])
    _report(f"{text}; see `{chain} --help`", InvalidInput.code, as_json=as_json)
    return InvalidInput.exit_code


def _without_passwords(text: str, arguments: Sequence[str]) -> str:
    """Return an error about the arguments without the passwords of URLs in them."""
    for argument in arguments:
        if "://" in argument or "password" in argument.lower():
            value = argument.partition("=")[2] if argument.startswith("-") else argument
            text = text.replace(value, without_password(value)) if value else text
    return text


def _unused(tokens: Sequence[str]) -> str:
    """What was not asked for; only options are named, as the rest may be secrets."""
    options = [token.partition("=")[0] for token in tokens if token.startswith("--")]
    if options:
        return f"there is no option {options[0]} here"
    count = len(tokens)
    more = "1 argument more" if count == 1 else f"{count} arguments more"
    return f"{more} than this command takes"


def _fill_standard_streams() -> None:
    """Open what the program was started without, as `<&-` does it.

    Sockets would take those numbers otherwise, and uvloop refuses to close them.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8")


def _report(message: str, code: str, *, as_json: bool) -> None:
    if as_json:
        error = {"error": {"code": code, "message": message}}
        line = dump_json(error, ascii_only=not writes_utf8(sys.stderr))
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
