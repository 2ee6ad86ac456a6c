"""The runner: `python -m bench NAME`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import sys
from typing import Any, Final

from bench import environment
from bench.run import BenchFailed
from delivery.errors import DeliveryError

NAMES: Final = (
    "throughput",
    "floor",
    "python",
    "wal",
    "latency",
    "isolation",
    "fairness",
    "backlog",
    "xmin",
    "lanes",
    "fanout",
    "tls",
    "memory",
    "peers",
)
"""Each is a module of this package with `add_arguments` and `measure`."""


def main() -> int:
    """Run one bench and print its figures; 0 if it could be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    benches = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    modules = {}
    for name in NAMES:
        module = modules[name] = importlib.import_module(
            f"bench.{'floor_alone' if name == 'floor' else name}"
        )
        about = (module.__doc__ or "").strip()
        each = benches.add_parser(name, help=about, description=about)
        module.add_arguments(each)
        each.add_argument("--json", action="store_true", help="one JSON line")
        each.add_argument(
            "--database-url",
            help="a PostgreSQL on which databases may be made (default: the embedded one)",
        )
    options = parser.parse_args()
    try:
        figures: dict[str, Any] = asyncio.run(modules[options.name].measure(options))
    except DeliveryError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BenchFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    figures = {"bench": options.name, **figures, **environment.describe()}
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:40} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
