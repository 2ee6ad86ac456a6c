"""Run the properties of this package for long: `python -m tests.property.fuzz --seconds 600`.

Each property that needs no database is tried in turn, with new examples in every round, until the
time is over or one does not hold; then hypothesis shows the smallest example it has found, and
keeps it in .hypothesis, where `make test` tries it first.
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
"""Examples of each property before the next has its turn."""


def main() -> int:
    """Run what the command line names; 0 if every property held all the time."""
    parser = argparse.ArgumentParser(prog="python -m tests.property.fuzz", description=__doc__)
    modules = sorted(path.stem for path in _HERE.glob("test_*.py"))
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long (60)")
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(modules))
    options = parser.parse_args()
    for module in options.modules:
        if module not in modules:
            parser.error(f"there is no {module!r}; there are {', '.join(modules)}")
    chosen = dict(properties(options.modules or modules))
    ends = time.monotonic() + options.seconds
    rounds = 0
    while time.monotonic() < ends:
        for name, holds in chosen.items():
            try:
                holds()
            except Exception:  # noqa: BLE001 - whatever it is, it is what was looked for
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
    """The properties of these modules that need nothing but hypothesis, with longer settings."""
    longer = settings(
        max_examples=_ROUND,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # Without the one that shows what else would have failed: one example at a time will do.
        phases=set(Phase) - {Phase.explain},
    )
    for module in modules:
        for name, found in vars(importlib.import_module(f"tests.property.{module}")).items():
            if name.startswith("test_") and is_hypothesis_test(found) and not _needs_more(found):
                yield f"{module}.{name}", longer(found)


def _needs_more(found: Any) -> bool:
    """Whether a test takes fixtures, or parameters of pytest, besides what hypothesis gives it."""
    code = found.__code__
    return bool(code.co_argcount or code.co_kwonlyargcount or hasattr(found, "pytestmark"))


if __name__ == "__main__":
    sys.exit(main())
