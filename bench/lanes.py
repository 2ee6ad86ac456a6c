"""50,000 reactions with one job each, compared with as many jobs over 100 reactions."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.databases import enqueue, fresh_database, server
from bench.receivers import receiver
from bench.throughput import drain

if TYPE_CHECKING:
    import argparse

__all__ = ["add_arguments", "measure"]

_TARGET: Final = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument(
        "--reactions", type=int, default=50_000, help="reactions with a job (50000)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (3)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measure alternately, on copies of the same two databases."""
    many: list[float] = []
    few: list[float] = []
    with receiver() as (receiver_url, kind):
        async with (
            server(options.database_url) as server_url,
            fresh_database(server_url) as of_many,
            fresh_database(server_url) as of_few,
        ):
            await enqueue(of_many, receiver_url, options.reactions, reactions=options.reactions)
            await enqueue(of_few, receiver_url, options.reactions)
            for _ in range(options.rounds):
                many.append(await _rate(server_url, of_many, options.reactions))
                few.append(await _rate(server_url, of_few, options.reactions))
    ratio = round(median(one / other for one, other in zip(many, few, strict=True)), 3)
    return {
        "one_job_each_per_s": round(median(many)),
        "over_100_reactions_per_s": round(median(few)),
        "ratio": ratio,
        "target": f"ratio >= {_TARGET}",
        "reached": ratio >= _TARGET,
        "reactions": options.reactions,
        "rounds": options.rounds,
        "receiver": kind,
    }


async def _rate(server_url: str, template: str, jobs: int) -> float:
    async with fresh_database(server_url, template) as url:
        return (await drain("bench.engine", url, jobs))["per_s"]
