"""The runner: `python -m bench NAME`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import Any

from bench import environment, throughput
from delivery.errors import DeliveryError


def main() -> int:
    """Run one bench and print its figures; 0 if it could be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    benches = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    runs = benches.add_parser("throughput", help=throughput.__doc__)
    runs.add_argument("--jobs", type=int, default=20_000, help="deliveries a run (20000)")
    runs.add_argument("--pairs", type=int, default=3, help="runs of floor and engine each (3)")
    floor = benches.add_parser("floor", help="the floor program alone, once")
    floor.add_argument("--jobs", type=int, default=20_000, help="deliveries (20000)")
    for each in (runs, floor):
        each.add_argument("--json", action="store_true", help="one JSON line")
        each.add_argument(
            "--database-url",
            help="a PostgreSQL on which databases may be made (default: the embedded one)",
        )
    options = parser.parse_args()
    try:
        figures = asyncio.run(_measure(options))
    except DeliveryError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except throughput.BenchFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:32} {value}")
    return 0


async def _measure(options: argparse.Namespace) -> dict[str, Any]:
    if options.name == "floor":
        figures = await throughput.measure_floor(options.database_url, options.jobs)
    else:
        figures = await throughput.measure(options.database_url, options.jobs, options.pairs)
    return {"bench": options.name, **figures, **environment.describe()}


if __name__ == "__main__":
    sys.exit(main())
