"""The legal transitions of jobs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from delivery.lifecycle import TERMINAL, TRANSITIONS, is_legal, stored_transitions
from delivery.models import JobStatus


def test_every_status_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(JobStatus)


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_terminal_status_has_no_transitions(status: JobStatus) -> None:
    assert not TRANSITIONS[status]


def test_only_waiting_jobs_can_be_claimed() -> None:
    claimable = {status for status in JobStatus if is_legal(status, JobStatus.RUNNING)}
    assert claimable == {JobStatus.QUEUED, JobStatus.RETRYING}


def test_running_is_never_stored() -> None:
    assert all(JobStatus.RUNNING not in pair for pair in stored_transitions())


def test_the_diagram_in_the_docs_equals_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "state-machine.md").read_text(encoding="utf-8")
    drawn = set(re.findall(r"^    (\w+) --> (\w+)$", page, flags=re.MULTILINE))
    assert drawn == {
        (source.value, target.value)
        for source, targets in TRANSITIONS.items()
        for target in targets
    }
