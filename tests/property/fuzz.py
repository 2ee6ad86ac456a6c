"""Run the properties of this package for a longer time.

Use: `python -m tests.property.fuzz --seconds 600`. Rounds of new examples run each property that
needs no database, until the time is over or a property fails. Then hypothesis prints the smallest
failing example and stores it in .hypothesis, where `make test` tries it first.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hypothesis import HealthCheck, Phase, is_hypothesis_test, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["main", "properties"]

_HERE: Final = Path(__file__).parent
_ROUND: Final = 500
"""Number of examples of each property in a round."""


def main() -> int:
    """Run the chosen properties; return 0 if all hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.property.fuzz", description=__doc__)
    modules = sorted(path.stem for path in _HERE.glob("test_*.py"))
    parser.add_argument("--seconds", type=float, default=60.0, help="duration (default: 60)")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(modules))
    options = parser.parse_args()
    for module in options.modules:
        if module not in modules:
            parser.error(f"unknown module {module!r}; the modules are {', '.join(modules)}")
    chosen = dict(properties(options.modules or modules))
    ends = time.monotonic() + options.seconds
    rounds = 0
    while time.monotonic() < ends:
        for name, holds in chosen.items():
            try:
                holds()
            except Exception:  # noqa: BLE001 - any error is a finding
                traceback.print_exc()
                sys.stderr.write(f"\nerror: {name} does not hold; see the example above\n")
                return 1
            if time.monotonic() >= ends:
                break
        else:
            rounds += 1
    sys.stdout.write(
        f"{len(chosen)} properties held for {options.seconds:g} s,"
        f" {rounds * _ROUND:,} examples of each\n"
    )
    return 0


def properties(modules: list[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the properties of these modules that need only hypothesis, with longer settings."""
    longer = settings(
        max_examples=_ROUND,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # Without the phase that explains the failure: the smallest example suffices.
        phases=set(Phase) - {Phase.explain},
    )
    for module in modules:
        for name, found in vars(importlib.import_module(f"tests.property.{module}")).items():
            if name.startswith("test_") and is_hypothesis_test(found) and not _needs_more(found):
                yield f"{module}.{name}", longer(found)


def _needs_more(found: Any) -> bool:
    """Return True if a test needs fixtures or parameters of pytest."""
    code = found.__code__
    return bool(code.co_argcount or code.co_kwonlyargcount or hasattr(found, "pytestmark"))


if __name__ == "__main__":
    sys.exit(main())
