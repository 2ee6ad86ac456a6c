"""The reference page matches the command line."""

from __future__ import annotations

from pathlib import Path

from delivery.cli.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_page_is_up_to_date() -> None:
    """Update it with `python -m delivery.cli.reference > docs/cli.md`."""
    assert PAGE.read_text(encoding="utf-8") == reference()
