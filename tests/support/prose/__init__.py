"""Extraction of the project's prose, and counts of the style rules it departs from.

`python -m tests.support.prose --help` lists the reports.
"""

from tests.support.prose.extraction import Kind, Passage, passages_of, read_project
from tests.support.prose.rules import (
    Ceiling,
    Figures,
    Finding,
    ceilings,
    figures,
    findings,
    is_plain,
)

__all__ = [
    "Ceiling",
    "Figures",
    "Finding",
    "Kind",
    "Passage",
    "ceilings",
    "figures",
    "findings",
    "is_plain",
    "passages_of",
    "read_project",
]
