"""The command line, `delivery`: for people, and with `--json` for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        arguments: What follows the program's name; None: as the program was called.
    """
    try:
        from delivery.cli.app import run  # noqa: PLC0415 - only those who use it need its packages
    except KeyboardInterrupt:
        # Importing takes half a second, in which people may change their mind.
        return 130
    return run(arguments)
