"""The command line, `delivery`: for people, and with `--json` for programs."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: Arguments after the program's name; default: those of `sys.argv`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        from delivery.cli.startup import start
    except KeyboardInterrupt:
        return 130
    code = start(given)
    if arguments is None:
        # The process ends here. Without this, Python's last garbage collection scans all modules,
        # which takes a tenth of a short command's time. It skips frozen objects.
        gc.freeze()
    return code
