"""Print the figures of each room, or the findings in the paths that are named.

python -m tests.support.prose                        figures of all rooms
python -m tests.support.prose delivery/http          findings below a path
python -m tests.support.prose --text delivery/http   its prose, passage by passage
python -m tests.support.prose --ceilings             the table of tests/unit/test_prose.py
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from tests.support.prose import Figures, ceilings, figures, findings, read_project

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.support.prose import Passage


def main() -> int:
    """Print the figures or findings that the command line selects."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.prose", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("paths", nargs="*", metavar="PATH", help="rooms, folders or files")
    parser.add_argument("--text", action="store_true", help="print the prose itself")
    parser.add_argument("--ceilings", action="store_true", help="print the table of the test")
    options = parser.parse_args()
    passages = read_project()
    if options.ceilings:
        lines: Iterable[str] = _table_of_ceilings(passages)
    elif options.text or options.paths:
        chosen = [each for each in passages if not options.paths or _is_in(each, options.paths)]
        lines = _texts(chosen) if options.text else _findings(chosen)
    else:
        lines = _table_of_figures(figures(passages))
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 0


def _is_in(passage: Passage, paths: list[str]) -> bool:
    return any(
        passage.path == path or passage.path.startswith(f"{path.rstrip('/')}/") for path in paths
    )


def _texts(passages: list[Passage]) -> Iterable[str]:
    for passage in passages:
        yield f"{passage.path}:{passage.line}: {passage.kind}: {' '.join(passage.text.split())}"


def _findings(passages: list[Passage]) -> Iterable[str]:
    found = sorted(findings(passages), key=lambda each: (each.passage.path, each.line))
    for each in found:
        yield f"{each.passage.path}:{each.line}: {each.rule}: {each.excerpt}"
    yield f"{len(found)} findings"


def _table_of_figures(rooms: dict[str, Figures]) -> Iterable[str]:
    yield (f"{'room':20} {'words':>7} {'counted':>8} {'in 1,000':>9} {'opening':>13} {'mood':>13}")
    for room, each in rooms.items():
        yield _row(room, each)
    total = Figures(
        *(
            sum(getattr(each, name) for each in rooms.values())
            for name in ("words", "docstrings", "functions", "counted", "opening", "mood")
        )
    )
    yield _row("all", total)


def _row(room: str, each: Figures) -> str:
    opening = f"{each.opening} = {_share(each.opening, each.docstrings)}"
    mood = f"{each.mood} = {_share(each.mood, each.functions)}"
    return f"{room:20} {each.words:7} {each.counted:8} {each.rate:9.1f} {opening:>13} {mood:>13}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "0%"


def _table_of_ceilings(passages: Iterable[Passage]) -> Iterable[str]:
    for room, ceiling in ceilings(figures(passages)).items():
        yield f'    "{room}": {ceiling},'


if __name__ == "__main__":
    sys.exit(main())
