"""The same 5,000 deliveries by the engine and by five other job queues, alternately."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["add_arguments", "measure"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--jobs", type=_count, default=5_000, help="deliveries a run (5000)")
    parser.add_argument("--rounds", type=_count, default=3, help="runs of each peer (3)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Install the peers, run engine and peers alternately, and return medians and ratios.

    Raises:
        BenchFailed: if a run does not complete its work.
    """
    # Not a top-level import: the peers' Python imports this package too, without its packages.
    from bench.peers import alternation  # noqa: PLC0415

    return await alternation.measure(options.database_url, options.jobs, options.rounds)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        message = "must be at least 1"
        raise argparse.ArgumentTypeError(message)
    return number
