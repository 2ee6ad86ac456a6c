"""The table of legal transitions, and the state diagram in the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from delivery.lifecycle import TERMINAL, TRANSITIONS, is_legal, stored_transitions
from delivery.models import JobStatus, Outcome, TriggerState

PAGE: Final = (Path(__file__).parents[2] / "docs" / "concepts.md").read_text(encoding="utf-8")
ARROWS: Final = re.findall(r"^    (\w+) --> (\w+): (\w+)$", PAGE, flags=re.MULTILINE)
FIRST_CELLS: Final = re.findall(r"^\| (`[^|]*`) \|", PAGE, flags=re.MULTILINE)
NAMED: Final = {name for cell in FIRST_CELLS for name in re.findall(r"`([\w-]+)`", cell)}


def test_every_status_has_its_row() -> None:
    assert set(TRANSITIONS) == set(JobStatus)


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_terminal_state_never_changes(status: JobStatus) -> None:
    assert not TRANSITIONS[status]


def test_only_waiting_jobs_can_be_claimed() -> None:
    claimable = {status for status in JobStatus if is_legal(status, JobStatus.RUNNING)}
    assert claimable == {JobStatus.QUEUED, JobStatus.RETRYING}


def test_running_is_never_stored() -> None:
    assert all(JobStatus.RUNNING not in pair for pair in stored_transitions())


def test_the_diagram_has_an_arrow_for_each_transition() -> None:
    assert {(source, target) for source, target, _ in ARROWS} == {
        (source.value, target.value)
        for source, targets in TRANSITIONS.items()
        for target in targets
    }


def test_arrows_to_a_terminal_state_have_the_same_verb() -> None:
    for status in TERMINAL:
        assert len({verb for _, target, verb in ARROWS if target == status}) == 1


@pytest.mark.parametrize("words", [JobStatus, Outcome, TriggerState])
def test_the_page_explains_each_state_and_outcome(
    words: type[JobStatus | Outcome | TriggerState],
) -> None:
    assert {word.value for word in words} <= NAMED
