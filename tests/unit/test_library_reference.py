"""The reference of the library, compared with docstrings and exports."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import delivery
from tests.support.library_reference import described_names, reference

PAGE: Final = Path(__file__).parents[2] / "docs" / "library.md"


def test_the_page_is_up_to_date() -> None:
    """`make reference` updates the page."""
    assert PAGE.read_text(encoding="utf-8") == reference()


def test_the_page_describes_every_export() -> None:
    described = described_names(PAGE.read_text(encoding="utf-8"))
    assert set(delivery.__all__) - described == set()


def test_the_page_describes_the_verbs_of_the_engine() -> None:
    described = described_names(PAGE.read_text(encoding="utf-8"))
    assert {
        *("engine.trigger", "engine.reactions.create", "engine.jobs.wait", "engine.logs.iterate")
    } <= described
