"""The application: the tree of commands and the handling of their errors."""

from __future__ import annotations

import inspect
import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from cyclopts import App, CycloptsError, Parameter

from delivery.cli.overview import COMMANDS, EPILOGUE, SUMMARY
from delivery.errors import DeliveryError, InvalidInput
from delivery.version import VERSION

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

__all__ = ["build_app", "invoke", "run"]

_LONG_RUNNING: Final = frozenset({"demo", "serve", "worker"})
"""Commands that run long enough to repay the import of uvloop."""


def build_app(*, completion: bool = True) -> App:
    """Build the command-line application.

    Args:
        completion: Add the option that installs completion, which is slow to import.
    """
    app = App(
        name="delivery",
        help=SUMMARY,
        help_epilogue=EPILOGUE,
        help_format="plaintext",
        version=VERSION,
        default_parameter=Parameter(negative=(), show_default=_default),
        result_action="return_value",
    )
    for rank, command in enumerate(COMMANDS):
        # A group's app sets its epilogue; a function inherits the parent's by default.
        own: dict[str, Any] = (
            {} if command.source.endswith((":app", ":reactions")) else {"help_epilogue": ""}
        )
        app.command(command.source, name=command.name, sort_key=rank, **own)
    if completion:
        app.register_install_completion_command(help="Install shell completion.")
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command on a new event loop and return its exit code."""
    try:
        result = _parse(arguments)()
        if inspect.iscoroutine(result):
            import asyncio

            with asyncio.Runner(loop_factory=_loop_factory(arguments)) as runner:
                result = runner.run(result)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - a bug, reported on one line
        return _explain(error, arguments)
    return result if isinstance(result, int) else 0


async def invoke(arguments: Sequence[str]) -> int:
    """Run one command on the running event loop and return its exit code."""
    try:
        result = _parse(arguments)()
        if inspect.iscoroutine(result):
            result = await result
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - as in `run`
        return _explain(error, arguments)
    return result if isinstance(result, int) else 0


def _without_passwords(text: str, arguments: Sequence[str]) -> str:
    """Return an error about the arguments without the passwords of URLs in them."""
    from delivery.settings import without_password

    for argument in arguments:
        if "://" in argument or "password" in argument.lower():
            value = argument.partition("=")[2] if argument.startswith("-") else argument
            text = text.replace(value, without_password(value)) if value else text
    return text


def _parse(arguments: Sequence[str]) -> Callable[[], Any]:
    """Return the selected command, bound to its arguments."""
    app = build_app(completion="--install-completion" in arguments)
    command, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    if getattr(command, "__func__", None) is App.help_print:
        # Plain text, as the overview; rich is imported only to print a page.
        from rich.console import Console

        from delivery.cli.help_page import HelpPage
        from delivery.cli.terminal import columns

        app.help_formatter = HelpPage(columns())
        console = Console(soft_wrap=True)
        return partial(command, *bound.args, **(bound.kwargs | {"console": console}))
    return partial(command, *bound.args, **bound.kwargs)


def _loop_factory(
    arguments: Sequence[str],
) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if arguments[0] not in _LONG_RUNNING:
        return None
    from delivery.service.process_tuning import loop_factory

    return loop_factory()


def _explain(error: Exception, arguments: Sequence[str]) -> int:
    """Write one line about an error to standard error, and return the exit code."""
    as_json = "--json" in arguments
    if isinstance(error, CycloptsError):
        from delivery.cli.usage import explain_usage

        text = _without_passwords(explain_usage(error), arguments)
        _report(text, InvalidInput.code, as_json=as_json)
        return InvalidInput.exit_code
    if isinstance(error, DeliveryError):
        _report(str(error), error.code, as_json=as_json, details=error.details())
        return error.exit_code
    from delivery.observe.secret_filter import scrub_secrets
    from delivery.rendering import escape_controls

    if "--debug" in arguments:
        sys.stderr.write(escape_controls(scrub_secrets("".join(traceback.format_exception(error)))))
    text = scrub_secrets(
        f"{type(error).__name__}: {error} (this is a bug; --debug shows the traceback)"
    )
    _report(text, DeliveryError.code, as_json=as_json)
    return DeliveryError.exit_code


def _report(
    message: str, code: str, *, as_json: bool, details: dict[str, Any] | None = None
) -> None:
    from delivery.rendering import dump_json, escape_controls, to_json, writes_utf8

    if as_json:
        error = {"error": {"code": code, "message": message} | to_json(details or {})}
        line = dump_json(error, ascii_only=not writes_utf8(sys.stderr))
    else:
        line = f"error: {escape_controls(message)}"
    sys.stderr.write(line.encode(errors="backslashreplace").decode() + "\n")


def _default(value: object) -> str | None:
    """Return the default to print in the help, or None for an empty one."""
    return str(value) if value else None
