"""The start of the program; --version and the overview need no further imports."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from delivery.cli.overview import asks_for_overview, overview
from delivery.cli.terminal import columns
from delivery.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["fill_standard_streams", "start"]

_INTERRUPTED: Final = 130
"""128 and the number of SIGINT, as shells count."""
_BROKEN_PIPE: Final = 141
"""128 and the number of SIGPIPE."""
_CANNOT_RUN: Final = 2
_PACKAGES: Final = ("cyclopts", "rich", "standardwebhooks")
"""Packages of the extra `cli`, which the library does not need."""


def start(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    fill_standard_streams()
    try:
        code = _start(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Python would write the rest of the buffer at exit, and fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    return code


def _start(arguments: Sequence[str]) -> int:
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"{VERSION}\n")
        return 0
    if any(find_spec(package) is None for package in _PACKAGES):
        sys.stderr.write(
            "error: the command line is not installed; run `pip install 'delivery[cli]'`"
            " (add `embedded` for a database without a server: 'delivery[cli,embedded]')\n"
        )
        return _CANNOT_RUN
    if asks_for_overview(arguments):
        sys.stdout.write(overview(columns()))
        return 0
    from delivery.cli.app import run

    return run(arguments)


def fill_standard_streams() -> None:
    """Open standard streams that are closed at the start, as after `<&-`.

    Otherwise sockets would get their numbers, and uvloop refuses to close those.
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
