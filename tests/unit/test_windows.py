"""Windows grow with responses, shrink with failures, and stay within their bounds."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from delivery.queue.windows import CallEnd, LaneWindows

A = UUID(int=1)


def test_a_window_starts_small_and_grows_with_each_response_up_to_the_cap() -> None:
    windows = LaneWindows(default_cap=12)
    assert windows.size(A) == 10
    sizes = []
    for _ in range(4):
        windows.began(A)
        windows.ended(A, CallEnd.RESPONDED)
        sizes.append(windows.size(A))
    assert sizes == [11, 12, 12, 12]


def test_each_call_without_a_response_halves_the_window_down_to_one() -> None:
    windows = LaneWindows(default_cap=100)
    sizes = []
    for _ in range(5):
        windows.began(A)
        windows.ended(A, CallEnd.NO_RESPONSE)
        sizes.append(windows.size(A))
    assert sizes == [5, 2, 1, 1, 1]


def test_calls_that_never_started_have_no_effect() -> None:
    windows = LaneWindows(default_cap=100)
    windows.began(A)
    windows.ended(A, CallEnd.NOT_CALLED)
    assert windows.size(A) == windows.room(A) == 10


def test_pauses_start_after_a_few_failures_grow_to_a_second_and_end_with_a_response() -> None:
    windows = LaneWindows(default_cap=100, clock=lambda: 50.0)
    pauses = []
    for _ in range(20):
        windows.began(A)
        windows.ended(A, CallEnd.NO_RESPONSE)
        pauses.append(max(windows.resting_until(A) - 50.0, 0.0))
    assert pauses[:3] == [0.0, 0.0, 0.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 1.0
    windows.began(A)
    windows.ended(A, CallEnd.RESPONDED)
    assert windows.resting_until(A) == 0.0


def fail(windows: LaneWindows, times: int, end: CallEnd = CallEnd.NO_RESPONSE_EARLY) -> None:
    for _ in range(times):
        windows.began(A)
        windows.ended(A, end)


def test_an_endpoint_that_responds_to_a_retried_job_is_trusted() -> None:
    windows = LaneWindows(default_cap=100, clock=lambda: 50.0)
    fail(windows, 20)
    assert windows.is_in_doubt(A)
    assert windows.size(A) == 1
    windows.began(A)
    windows.ended(A, CallEnd.RESPONDED_AGAIN)
    fail(windows, 200)
    assert not windows.is_in_doubt(A)
    assert windows.size(A) == 10
    assert windows.resting_until(A) == 0.0
    fail(windows, 2)
    assert windows.is_in_doubt(A)
    assert windows.resting_until(A) == 51.0


def test_trust_ends_with_a_failure_that_is_not_early() -> None:
    windows = LaneWindows(default_cap=100, clock=lambda: 50.0)
    fail(windows, 20)
    windows.began(A)
    windows.ended(A, CallEnd.RESPONDED_AGAIN)
    fail(windows, 10)
    assert not windows.is_in_doubt(A)
    fail(windows, 1, CallEnd.NO_RESPONSE)
    assert windows.is_in_doubt(A)
    assert windows.resting_until(A) > 50.0


def test_early_failures_that_request_a_lower_rate_put_a_lane_in_doubt_without_a_pause() -> None:
    windows = LaneWindows(default_cap=100, clock=lambda: 50.0)
    fail(windows, 20, CallEnd.ASKED_FOR_LESS_EARLY)
    assert windows.is_in_doubt(A)
    assert windows.size(A) == 1
    assert windows.resting_until(A) == 0.0
    windows.began(A)
    windows.ended(A, CallEnd.RESPONDED_AGAIN)
    fail(windows, 20, CallEnd.ASKED_FOR_LESS_EARLY)
    assert windows.size(A) == 10
    # A request for a lower rate that is not an early failure is honoured despite the trust.
    fail(windows, 5, CallEnd.ASKED_FOR_LESS)
    assert windows.size(A) == 1


def test_a_response_to_a_new_job_ends_a_pause_but_earns_no_trust() -> None:
    windows = LaneWindows(default_cap=100, clock=lambda: 50.0)
    fail(windows, 20)
    windows.began(A)
    windows.ended(A, CallEnd.RESPONDED)
    assert not windows.is_in_doubt(A)
    fail(windows, 4)
    assert windows.is_in_doubt(A)


@given(st.integers(1, 50), st.lists(st.sampled_from(CallEnd), max_size=200))
def test_a_window_is_between_one_and_the_cap(cap: int, ends: list[CallEnd]) -> None:
    windows = LaneWindows(default_cap=cap)
    for end in ends:
        windows.began(A)
        windows.ended(A, end)
        assert 1 <= windows.size(A) <= cap
        assert windows.room(A) == windows.size(A), "ended calls are no longer in flight"


def test_a_response_that_requests_a_lower_rate_halves_the_window_without_a_pause() -> None:
    windows = LaneWindows(default_cap=100)
    for expected in (5, 2, 1, 1, 1, 1):
        windows.began(A)
        windows.ended(A, CallEnd.ASKED_FOR_LESS)
        assert windows.size(A) == expected
    assert windows.resting_until(A) == 0.0
