"""The page docs/errors.md, compared with the classes of errors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from delivery import errors
from delivery.models import FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS: Final = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (Path(__file__).parents[2] / "docs" / "errors.md")
    .read_text(encoding="utf-8")
    .splitlines()
    if line.startswith("| `")
]


def classes() -> Iterator[type[errors.DeliveryError]]:
    for name in errors.__all__:
        value = getattr(errors, name)
        if isinstance(value, type) and issubclass(value, errors.DeliveryError):
            yield value


def test_the_page_has_each_error_with_its_code_and_exit_code() -> None:
    listed = {(row[0], row[1], row[2]) for row in ROWS if len(row) > 3}
    assert listed == {
        (f"`{each.code}`", f"`{each.__name__}`", str(each.exit_code)) for each in classes()
    }


def test_the_page_says_which_errors_of_the_database_are_transient() -> None:
    listed = {row[1]: row[3] for row in ROWS if len(row) > 5}
    assert listed == {
        f"`{each.__name__}`": "yes" if each.transient else "no"
        for each in classes()
        if issubclass(each, errors.DatabaseError)
    }


def test_the_page_has_each_failure_kind() -> None:
    assert {row[0].strip("`") for row in ROWS if len(row) <= 3} == set(FailureKind)


def test_every_error_has_a_remedy() -> None:
    assert not [row[0] for row in ROWS if not row[-1] and row[0] != "`handler`"]
