"""Windows grow with answers, shrink with failures, and never leave their bounds."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from delivery.engine.windows import LaneWindows

A = UUID(int=1)


def test_a_window_begins_small_and_grows_with_every_answer_up_to_the_cap() -> None:
    windows = LaneWindows(default_cap=12)
    assert windows.size(A) == 10
    sizes = []
    for _ in range(4):
        windows.began(A)
        windows.ended(A, answered=True)
        sizes.append(windows.size(A))
    assert sizes == [11, 12, 12, 12]


def test_a_window_is_halved_by_every_call_without_an_answer_down_to_one() -> None:
    windows = LaneWindows(default_cap=100)
    sizes = []
    for _ in range(5):
        windows.began(A)
        windows.ended(A, answered=False)
        sizes.append(windows.size(A))
    assert sizes == [5, 2, 1, 1, 1]


def test_calls_that_were_never_made_change_nothing() -> None:
    windows = LaneWindows(default_cap=100)
    windows.began(A)
    windows.ended(A, answered=None)
    assert windows.size(A) == windows.room(A) == 10


def test_pauses_begin_after_a_few_failures_grow_to_a_second_and_end_with_an_answer() -> None:
    windows = LaneWindows(default_cap=100, clock=lambda: 50.0)
    pauses = []
    for _ in range(20):
        windows.began(A)
        windows.ended(A, answered=False)
        pauses.append(max(windows.resting_until(A) - 50.0, 0.0))
    assert pauses[:3] == [0.0, 0.0, 0.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 1.0
    windows.began(A)
    windows.ended(A, answered=True)
    assert windows.resting_until(A) == 0.0


@given(st.integers(1, 50), st.lists(st.sampled_from([True, False, None]), max_size=200))
def test_a_window_is_never_less_than_one_nor_more_than_the_cap(
    cap: int, outcomes: list[bool | None]
) -> None:
    windows = LaneWindows(default_cap=cap)
    for answered in outcomes:
        windows.began(A)
        windows.ended(A, answered=answered)
        assert 1 <= windows.size(A) <= cap
        assert windows.room(A) == windows.size(A), "what ended is no longer in flight"
