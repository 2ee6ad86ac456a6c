"""The tables in docs/guarantees.md say what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from delivery.models import FailureKind, JobStatus, RetryPolicy
from delivery.policy.endpoint_health import CallResult, classify
from delivery.policy.outcome import DEFAULT_RULES, Decision, decide
from delivery.settings import HealthSettings

PAGE: Final = (Path(__file__).parents[2] / "docs" / "guarantees.md").read_text()
SAYS: Final = {
    CallResult.WORKS: "it works",
    CallResult.THROTTLED: "it asks for less",
    CallResult.OVERLOADED: "it failed, and asks for less",
    CallResult.FAILED: "it failed",
    None: "nothing",
}


def table(first_column: str) -> list[list[str]]:
    lines = iter(PAGE.splitlines())
    next(line for line in lines if line.startswith(f"| {first_column} |"))
    next(lines)
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def statuses(cell: str) -> list[int]:
    numbers = [int(number) for number in re.findall(r"\d{3}", cell)]
    return list(range(numbers[0], numbers[1] + 1)) if " to " in cell else numbers


def told(decision: Decision, status: int | None, kind: FailureKind | None) -> tuple[str, ...]:
    says = "it is gone" if decision.disable_reaction else SAYS[classify(decision, status, kind)]
    return (
        "yes" if decision.status is JobStatus.RETRYING else "no",
        f"`{decision.outcome}`",
        f"`{decision.failure_kind}`" if decision.failure_kind else "",
        says,
    )


def decided(status: int | None, kind: FailureKind | None) -> Decision:
    return decide(
        status_code=status,
        failure_kind=kind,
        attempt=1,
        max_attempts=5,
        policy=RetryPolicy(),
        rules=DEFAULT_RULES,
        retry_after=lambda: None,
        now=0.0,
        created_at=0.0,
        deadline=None,
        draw=lambda: 0.5,
    )


BY_STATUS: Final = {status: cells for cells in table("status") for status in statuses(cells[0])}
OTHER: Final = next(cells for cells in table("status") if cells[0] == "any other")
BY_KIND: Final = {cells[0].strip("`"): cells for cells in table("failure kind")}


@pytest.mark.parametrize("status", range(200, 600))
def test_the_page_says_what_an_answer_leads_to(status: int) -> None:
    _, again, outcome, kind, says = BY_STATUS.get(status, OTHER)
    assert told(decided(status, None), status, None) == (again, outcome, kind, says)


@pytest.mark.parametrize("kind", BY_KIND)
def test_the_page_says_what_a_failure_leads_to(kind: str) -> None:
    _, _, again, outcome, says = BY_KIND[kind]
    decision = decided(None, FailureKind(kind))
    assert told(decision, None, FailureKind(kind)) == (again, outcome, f"`{kind}`", says)


def test_the_page_names_every_failure_that_an_exchange_can_end_with() -> None:
    elsewhere = {
        FailureKind.HTTP_STATUS,
        FailureKind.GONE,
        FailureKind.DEADLINE,
        FailureKind.STALLED,
        FailureKind.HANDLER,
        FailureKind.LOCAL,
    }
    assert {FailureKind(kind) for kind in BY_KIND} == set(FailureKind) - elsewhere


def test_the_page_names_every_setting_of_the_health_rule() -> None:
    for field in HealthSettings.model_fields:
        assert f"`health.{field}`" in PAGE, field
