"""Links and paths in the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if path.name != "cli.md"  # generated with other anchors
)
LINK: Final = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
PATH: Final = re.compile(
    r"`((?:bench|config|delivery|docs|examples|migrations|requirements|tests)/[\w./-]*)`"
)
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as common renderers of Markdown form them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(text_of(page))
    }


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_a_file_and_a_heading(name: str) -> None:
    page = ROOT / name
    broken = []
    for path, anchor in LINK.findall(text_of(page)):
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(f"{path}#{anchor}")
    assert not broken


@pytest.mark.parametrize("name", PAGES)
def test_named_files_exist(name: str) -> None:
    assert not [path for path in PATH.findall(text_of(ROOT / name)) if not (ROOT / path).exists()]


def test_the_index_links_to_every_page() -> None:
    docs = ROOT / "docs"
    index = {path for path, _ in LINK.findall(text_of(docs / "README.md"))}
    index |= {
        f"guarantees/{path}" for path, _ in LINK.findall(text_of(docs / "guarantees/README.md"))
    }
    pages = {str(path.relative_to(docs)) for path in docs.rglob("*.md")}
    assert {page for page in pages if not page.startswith("adr/")} - index == {"README.md"}


def test_the_steps_of_common_changes_name_existing_code() -> None:
    page = text_of(ROOT / "docs" / "architecture.md").partition("## Common changes")[2]
    steps = re.findall(r"^\d+\. (`delivery/.*?)(?=^\d+\. |^\n)", page, re.MULTILINE | re.DOTALL)
    assert len(steps) > 5
    for step in steps:
        paths, _, text = step.partition(":")
        code = "".join(text_of(ROOT / path) for path in PATH.findall(paths))
        assert not [name for name in re.findall(r"`(\w+)`", text) if name not in code], step
