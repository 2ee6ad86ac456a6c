"""The style of the project's prose, by counts; CONTRIBUTING.md has the rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.prose import (
    Ceiling,
    Figures,
    Kind,
    ceilings,
    figures,
    findings,
    is_plain,
    passages_of,
    read_project,
)
from tests.support.prose.rules import COUNTED

ROOT = Path(__file__).parents[2]

# Rooms that still need a rewrite, with their present figures. Rows are lowered and removed, never
# raised or added; a module that moves takes its figures along.
# `python -m tests.support.prose --ceilings` prints the table.
CEILINGS: dict[str, Ceiling] = {
    "delivery/cli": Ceiling(rate=18.0, opening=24, mood=35),
    "tests/cli": Ceiling(rate=36.8, opening=8, mood=14),
}

SOURCE = '''"""Whether a module stands."""


class Counter:
    """Counts the `what` of calls."""

    total: int = 0
    """Number of calls."""

    @property
    def size(self) -> int:
        """Size of the counter."""
        # Why, and in
        # two lines.
        return 0  # noqa: X - a reason

    def add(self, answer: int) -> str:
        """The sum.

        Args:
            answer: Number to add.
        """
        return f"the counter told {answer} of them"


def test_what_is_not_there_is_4() -> None:
    text = "ab"
'''


@pytest.fixture(scope="module")
def rooms() -> dict[str, Figures]:
    return figures(read_project())


def test_a_rewritten_room_meets_the_target(rooms: dict[str, Figures]) -> None:
    missed = {room: ceiling for room, ceiling in ceilings(rooms).items() if room not in CEILINGS}
    assert not missed, f"run: python -m tests.support.prose {' '.join(missed)}"


def test_the_other_rooms_stay_below_their_ceilings(rooms: dict[str, Figures]) -> None:
    present = ceilings(rooms)
    raised = {
        room: (present[room], ceiling)
        for room, ceiling in CEILINGS.items()
        if room in present
        and any(now > bound for now, bound in zip(present[room], ceiling, strict=True))
    }
    assert not raised, f"run: python -m tests.support.prose {' '.join(raised)}"


def test_ceilings_are_lowered_as_rooms_are_rewritten(rooms: dict[str, Figures]) -> None:
    plain = [room for room in CEILINGS if room not in rooms or is_plain(rooms[room])]
    assert not plain, "remove these rows"
    present = ceilings(rooms)
    loose = [
        room
        for room, ceiling in CEILINGS.items()
        if any(bound > 1.1 * now + 2 for now, bound in zip(present[room], ceiling, strict=True))
    ]
    assert not loose, "lower these rows: python -m tests.support.prose --ceilings"


def test_prose_is_read_with_its_place_and_kind(tmp_path: Path) -> None:
    file = tmp_path / "counter.py"
    file.write_text(SOURCE)
    read = [
        (each.line, each.kind, " ".join(each.text.split()))
        for each in passages_of("delivery/store/counter.py", file)
    ]
    assert sorted(read) == [
        (1, Kind.MODULE, "Whether a module stands."),
        (5, Kind.CLASS, "Counts the … of calls."),
        (8, Kind.ATTRIBUTE, "Number of calls."),
        (12, Kind.PROPERTY, "Size of the counter."),
        (13, Kind.COMMENT, "Why, and in two lines."),
        (15, Kind.COMMENT, "a reason"),
        (18, Kind.FUNCTION, "The sum. Args: …: Number to add."),
        (23, Kind.MESSAGE, "the counter told … of them"),
        (26, Kind.TEST_NAME, "what is not there is 4"),
    ]


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("a.sql", "-- Takes jobs\n-- in turn.\nSELECT 1; -- one\n", [1, 3]),
        ("a.sql", "COMMENT ON TABLE a IS 'the jobs that wait';", [1]),
        ("a.md", "# Title\n\ntext\ntext\n\n```\ncode\n```\n\ntext", [1, 3, 10]),
        ("a.md", "one\n\n<!-- prose: off -->\n\nx\n\n<!-- prose: on -->\n\ntwo", [1, 9]),
        ("a.toml", "# One.\n# Two.\na = 1  # three\n# b = 2\n", [1, 3, 4]),
        ("a.png", "text", []),
    ],
)
def test_other_files_are_read_by_their_type(
    name: str, source: str, expected: list[int], tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_text(source)
    assert [each.line for each in passages_of(f"docs/{name}", file)] == expected


def test_departures_from_the_rules_are_found_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "counter.py"
    file.write_text(SOURCE)
    found = findings(passages_of("delivery/store/counter.py", file))
    assert sorted((each.line, each.rule) for each in found) == [
        (1, "opening"),
        (1, "stand"),
        (5, "mood"),
        (18, "mood"),
        (23, "told"),
        (26, "what"),
    ]


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("What is a lane? It is a queue.", []),
        ("It returns what\nwas read.", ["what"]),
        ("A `*` stands for all; keep-alive is the default.", []),
        ("It stands, kept behind the others.", ["behind", "keep", "stand"]),
        (
            "Nobody is told of it anew, but for the answer.",
            ["anew", "answer", "but for", "nobody", "told"],
        ),
        ("It is sealed, hidden or concealed at once.", ["at once", "conceal", "hide", "seal"]),
    ],
)
def test_counted_words_are_found(text: str, rules: list[str], tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(text)
    assert sorted(each.rule for each in findings(passages_of("docs/page.md", file))) == rules


def test_the_counted_words_are_listed_in_contributing() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    listed = " ".join(re.findall(r"^> (.*)", page, re.MULTILINE))
    for word in COUNTED:
        assert word in listed
