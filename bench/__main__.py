"""The runner: `python -m bench NAME`."""

from __future__ import annotations

import argparse
import ast
import asyncio
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

from bench import environment
from bench.run import BenchFailed
from delivery.errors import DeliveryError
from delivery.message.storage.encryption import generate_key

NAMES: Final = (
    "throughput",
    "floor",
    "python",
    "wal",
    "latency",
    "isolation",
    "hostile",
    "computations",
    "killed",
    "fairness",
    "backlog",
    "xmin",
    "lanes",
    "fanout",
    "tls",
    "memory",
    "startup",
    "peers",
)
"""Modules of this package, each with `add_arguments` and `measure`."""


def main() -> int:
    """Run one bench and print its figures; return 0 on success."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    benches = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    asked_for = sys.argv[1] if len(sys.argv) > 1 else None
    module: Any = None
    for name in NAMES:
        description = _description(name)
        each = benches.add_parser(name, help=description, description=description)
        # Only the requested bench is imported: a bench that cannot be imported affects no other.
        if name == asked_for:
            module = importlib.import_module(f"bench.{_module(name)}")
            module.add_arguments(each)
        each.add_argument("--json", action="store_true", help="one JSON line")
        each.add_argument(
            "--database-url",
            help="a PostgreSQL server to create databases on (default: the embedded one)",
        )
    options = parser.parse_args()
    for name, value in vars(options).items():
        if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
            parser.error(f"--{name} is {value}, but must be more than 0")
    # As in production. Without a key each worker logs a warning. Child processes inherit it.
    os.environ.setdefault("DELIVERY_SECRETS_KEYS", generate_key())
    try:
        figures: dict[str, Any] = asyncio.run(module.measure(options))
    except DeliveryError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BenchFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    figures = {"bench": options.name, **figures, **environment.describe()}
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:40} {value}")
    return 0


def _module(name: str) -> str:
    return "floor_alone" if name == "floor" else name


def _description(name: str) -> str:
    """Return the docstring of a bench's module without importing the module."""
    module = Path(__file__).with_name(_module(name))
    file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    try:
        return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    except SyntaxError as error:
        return f"cannot be read: {error.msg} (line {error.lineno})"


if __name__ == "__main__":
    sys.exit(main())
