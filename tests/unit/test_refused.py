"""A refused result retains every value that can be stored."""

from __future__ import annotations

import time
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.engine.settling.repairs import (
    day_of,
    days_between,
    redated,
    with_storable_values,
    without_exchange,
)
from delivery.store.settlements import Settlement

DAY = 86_400.0


def result(**changes: object) -> Settlement:
    plain = Settlement(
        lease_id=UUID(int=1),
        job_id=UUID(int=2),
        claim=1,
        lane=UUID(int=3),
        priority=0,
        status="retrying",
        attempt=1,
        uncounted=0,
        run_at=None,
        exhausted=False,
        failure_kind=None,
        error=None,
        status_code=200,
        finished_at=time.time(),
        method="POST",
        endpoint="http://127.0.0.1:9/",
        response_body=b"thanks",
    )
    return plain._replace(**changes)  # type: ignore[arg-type]


def id_at(seconds: float) -> UUID:
    return UUID(int=int(seconds * 1000) << 80 | 0x7 << 76 | 0b10 << 62)


@given(text=st.text(), status=st.integers(), lasted=st.floats())
def test_a_result_with_storable_values_can_be_stored_by_any_database(
    text: str, status: int, lasted: float
) -> None:
    repaired = with_storable_values(
        result(
            error=text, endpoint=text, remote_address=text, status_code=status, duration_ms=lasted
        )
    )
    for stored in (repaired.error, repaired.endpoint, repaired.remote_address):
        assert stored is not None
        assert stored.isascii()
        assert "\0" not in stored
    assert repaired.status_code is None or -(2**15) <= repaired.status_code < 2**15
    assert repaired.duration_ms is None or abs(repaired.duration_ms) <= 3e38
    assert repaired.response_body == b"thanks"


def test_storable_values_are_unchanged() -> None:
    plain = result(error="refused", duration_ms=1.5)
    assert with_storable_values(plain) == plain


def test_a_result_without_its_exchange_retains_the_outcome_of_the_job() -> None:
    stripped = without_exchange(result(log_id=id_at(1.0), request_head=b"POST /"), "a reason\0")
    assert (stripped.status, stripped.status_code, stripped.log_id) == ("retrying", 200, id_at(1.0))
    assert stripped.error == "the exchange could not be stored: a reason\\x00"
    assert stripped.response_body is None
    assert stripped.request_head is None


def test_an_id_of_another_day_is_replaced_by_one_of_today() -> None:
    now = time.time()
    future = result(
        log_id=id_at(now + 10 * DAY), finished_at=now + 10 * DAY, run_at=now + 10 * DAY + 30
    )
    day = day_of(future)
    assert day is not None
    assert days_between(day, now) == 10
    again = redated(future, now)
    assert days_between(day_of(again) or 0, now) == 0
    assert again.finished_at == pytest.approx(now)
    assert again.run_at == pytest.approx(now + 30)


def test_times_that_are_not_in_the_future_are_unchanged() -> None:
    now = time.time()
    old = result(log_id=id_at(now - 10 * DAY), finished_at=now - 5, run_at=now + 30)
    again = redated(old, now)
    assert (again.finished_at, again.run_at) == (now - 5, now + 30)
