"""The tables of docs/retries.md and the pages of docs/guarantees, compared with the code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from delivery.models import EngineEventType, FailureKind, JobStatus, RetryPolicy
from delivery.policy.endpoint_health import CallResult, classify
from delivery.policy.outcome import DEFAULT_RULES, Decision, decide
from delivery.policy.retry import documented_delays
from delivery.settings import HealthSettings

ROOT: Final = Path(__file__).parents[2]
RETRIES: Final = (ROOT / "docs" / "retries.md").read_text(encoding="utf-8")
PAGES: Final = {
    page.name: page.read_text(encoding="utf-8") for page in (ROOT / "docs/guarantees").glob("*.md")
}
EVIDENCE: Final = {
    CallResult.WORKS: "works",
    CallResult.THROTTLED: "requests a lower rate",
    CallResult.OVERLOADED: "failed, requests a lower rate",
    CallResult.FAILED: "failed",
    None: "none",
}
SECONDS: Final = {"h": 3_600, "min": 60, "s": 1}


def table(page: str, first_column: str) -> list[list[str]]:
    lines = iter(page.splitlines())
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


def seconds(cell: str) -> float:
    return sum(int(number) * SECONDS[unit] for number, unit in re.findall(r"(\d+) (h|min|s)", cell))


def described(decision: Decision, status: int | None, kind: FailureKind | None) -> tuple[str, ...]:
    gone = decision.disable_reaction
    return (
        "yes" if decision.status is JobStatus.RETRYING else "no",
        f"`{decision.outcome}`",
        f"`{decision.failure_kind}`" if decision.failure_kind else "",
        "gone" if gone else EVIDENCE[classify(decision, status, kind)],
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


BY_STATUS: Final = {
    status: cells for cells in table(RETRIES, "Status") for status in statuses(cells[0])
}
OTHER: Final = next(cells for cells in table(RETRIES, "Status") if cells[0] == "any other")
BY_KIND: Final = {cells[0].strip("`"): cells for cells in table(RETRIES, "Failure kind")}


@pytest.mark.parametrize("status", range(200, 600))
def test_the_table_of_statuses_matches_the_decision(status: int) -> None:
    _, retried, outcome, kind, evidence = BY_STATUS.get(status, OTHER)
    assert described(decided(status, None), status, None) == (retried, outcome, kind, evidence)


@pytest.mark.parametrize("kind", BY_KIND)
def test_the_table_of_failure_kinds_matches_the_decision(kind: str) -> None:
    _, _, retried, outcome, evidence = BY_KIND[kind]
    decision = decided(None, FailureKind(kind))
    expected = (retried, outcome, f"`{kind}`", evidence)
    assert described(decision, None, FailureKind(kind)) == expected


def test_the_table_has_each_failure_kind_that_an_exchange_can_end_with() -> None:
    elsewhere = {
        FailureKind.HTTP_STATUS,
        FailureKind.GONE,
        FailureKind.DEADLINE,
        FailureKind.STALLED,
        FailureKind.HANDLER,
        FailureKind.LOCAL,
    }
    assert {FailureKind(kind) for kind in BY_KIND} == set(FailureKind) - elsewhere


def test_the_table_of_delays_matches_the_default_policy() -> None:
    delays = (0.0, *documented_delays(RetryPolicy()))
    sums = [sum(delays[: number + 1]) for number in range(len(delays))]
    rows = [(int(row[0]), seconds(row[1]), seconds(row[2])) for row in table(RETRIES, "Attempt")]
    assert rows == list(zip(range(1, len(delays) + 1), delays, sums, strict=True))


def test_the_page_names_every_setting_of_the_health_rule() -> None:
    for field in HealthSettings.model_fields:
        assert f"`health.{field}`" in PAGES["isolation.md"], field


def test_the_page_lists_the_operational_triggers() -> None:
    listed = {row[0].strip("`") for row in table(PAGES["delivery.md"], "Event type")}
    assert listed == set(EngineEventType)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_names_tests_and_the_limits_of_its_promises(page: str) -> None:
    if page != "README.md":
        assert re.search(r"`tests/\w+/\w+\.py`", PAGES[page])
        assert "\n## Not promised\n" in PAGES[page]
        assert f"]({page})" in PAGES["README.md"]
