"""Comparison of this tree with another commit: each bench runs in both trees, in alternation.

    python -m bench.against HEAD~1 throughput -- --pairs 1
    python -m bench.against v1.0 latency wal --rounds 5

The other commit is checked out into a temporary git worktree. Both trees run with this interpreter
and its installed packages, so both must work with the same dependencies. For each figure the table
shows the median of either tree, and the median, minimum and maximum of the ratio (this tree divided
by the other) over the rounds. Noise of the machine hits both runs of a round alike, so the ratio is
steadier than the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.__main__ import NAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main"]

_REPOSITORY: Final = Path(__file__).parents[1]
_FACTS: Final = frozenset({"cores", "jobs", "memory_gib", "pairs", "rounds"})
"""Numbers that describe a run and are no result of it."""

Figures = dict[str, float]


def main() -> int:
    """Run the benches that the command line names in both trees and print the ratios."""
    own, passed_on = _split(sys.argv[1:])
    parser = argparse.ArgumentParser(
        prog="python -m bench.against",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Arguments after -- are passed to each bench.",
    )
    parser.add_argument("revision", help="the commit to compare with")
    parser.add_argument("names", nargs="+", metavar="NAME", choices=NAMES, help=", ".join(NAMES))
    parser.add_argument("--rounds", type=int, default=5, help="runs in each tree (5)")
    options = parser.parse_args(own)
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    with _checked_out(options.revision) as other:
        for name in options.names:
            ours: list[Figures] = []
            theirs: list[Figures] = []
            for number in range(options.rounds):
                # The order alternates too, so that neither tree always runs on a warm machine.
                for tree in (_REPOSITORY, other) if number % 2 else (other, _REPOSITORY):
                    figures = _run(tree, name, passed_on)
                    (ours if tree is _REPOSITORY else theirs).append(figures)
            _show(name, ours, theirs)
    return 0


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in arguments:
        return arguments, []
    middle = arguments.index("--")
    return arguments[:middle], arguments[middle + 1 :]


@contextmanager
def _checked_out(revision: str) -> Iterator[Path]:
    """Check out a commit into a temporary directory, and remove it at the end."""
    with tempfile.TemporaryDirectory(prefix="delivery-bench-") as directory:
        tree = Path(directory) / "tree"
        _git("worktree", "add", "--quiet", "--detach", str(tree), revision)
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=_REPOSITORY, check=True)


def _run(tree: Path, name: str, arguments: list[str]) -> Figures:
    """Run one bench in one tree and return its numeric figures."""
    finished = subprocess.run(
        [sys.executable, "-m", "bench", name, "--json", *arguments],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        check=False,
    )
    if finished.returncode:
        sys.exit(f"error: bench {name} failed in {tree} with exit code {finished.returncode}")
    figures: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return {
        key: value
        for key, value in figures.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and key not in _FACTS
    }


def _show(name: str, ours: list[Figures], theirs: list[Figures]) -> None:
    """Print a line per figure that both trees report."""
    print(f"\n{name}: {len(ours)} rounds")
    print(f"  {'figure':38} {'this':>10} {'other':>10} {'ratio':>7} {'min':>7} {'max':>7}")
    for key in ours[0]:
        if key not in theirs[0]:
            continue
        ratios = [
            mine[key] / other[key] for mine, other in zip(ours, theirs, strict=True) if other[key]
        ]
        if not ratios:
            continue
        figures = (median(run[key] for run in ours), median(run[key] for run in theirs))
        spread = (median(ratios), min(ratios), max(ratios))
        print(
            f"  {key:38.38} "
            + " ".join(f"{figure:>10.6g}" for figure in figures)
            + " "
            + " ".join(f"{ratio:>7.3f}" for ratio in spread),
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
