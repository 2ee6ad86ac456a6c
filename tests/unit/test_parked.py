"""Parked results are grouped by cause and retried after growing pauses."""

from __future__ import annotations

from uuid import UUID

from delivery.engine.settling.parked import GroupKey, Parked
from delivery.store.driver.failures import Cause, Refusal
from delivery.store.settlements import Settlement

RIGHTS = GroupKey(Cause(Refusal.PLACE, "42501", None, of_one=False))
DAY = GroupKey(Cause(Refusal.PLACE, "23514", "delivery_logs", of_one=True), 20_000)


def result(number: int) -> Settlement:
    return Settlement(
        lease_id=UUID(int=1),
        job_id=UUID(int=number),
        claim=1,
        lane=UUID(int=2),
        priority=0,
        status="succeeded",
        attempt=1,
        uncounted=0,
        run_at=None,
        exhausted=False,
        failure_kind=None,
        error=None,
        status_code=200,
        finished_at=0.0,
    )


def test_pauses_double_up_to_five_seconds() -> None:
    parked = Parked()
    assert parked.park(RIGHTS, [result(1)], 100.0)
    pauses = []
    now = 100.0
    for _ in range(9):
        due = parked.next_due()
        assert due is not None
        pauses.append(round(due - now, 3))
        now = due
        assert parked.due(now) == RIGHTS
        assert not parked.park(RIGHTS, parked.take(RIGHTS, 500), now)
    assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_results_refused_together_count_as_one_refusal() -> None:
    parked = Parked()
    parked.park(RIGHTS, [result(1)], 100.0)
    parked.park(RIGHTS, [result(2)], 100.01)
    assert parked.next_due() == 100.05
    assert [each.job_id.int for each in parked] == [1, 2]


def test_a_cause_is_new_after_its_group_is_pruned() -> None:
    parked = Parked()
    parked.park(RIGHTS, [result(1)], 100.0)
    parked.take(RIGHTS, 1)
    assert not parked.park(RIGHTS, [result(1)], 101.0), "the cause is known during a retry"
    parked.take(RIGHTS, 1)
    assert parked.prune() == [RIGHTS]
    assert parked.park(RIGHTS, [result(1)], 102.0)


def test_a_cause_is_the_same_at_every_step() -> None:
    parked = Parked()
    parked.park(RIGHTS, [result(1)], 100.0)
    parked.take(RIGHTS, 1)
    stripped = RIGHTS._replace(step=2)
    assert not parked.park(stripped, [result(1)], 101.0)
    assert parked.prune() == [], "the cause persists"
    parked.take(stripped, 1)
    assert parked.prune() == [stripped]


def test_the_rest_of_a_group_is_due_immediately_after_a_partial_write() -> None:
    parked = Parked()
    parked.park(DAY, [result(n) for n in range(5)], 100.0)
    assert [each.job_id.int for each in parked.take(DAY, 2)] == [0, 1]
    parked.eased(DAY, 100.01)
    assert parked.due(100.01) == DAY
    assert len(parked) == 3
    assert parked.days() == {20_000: DAY}


def test_hurry_makes_every_group_due() -> None:
    parked = Parked()
    parked.park(RIGHTS, [result(1)], 100.0)
    parked.park(DAY, [result(2)], 100.0)
    assert parked.due(100.0) is None
    parked.hurry(100.0)
    assert parked.due(100.0) is not None
