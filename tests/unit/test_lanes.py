"""The dispatcher's lane book: lanes take turns, full lanes cost nothing, due jobs are found."""

from __future__ import annotations

from collections import Counter
from typing import Any, cast
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from delivery.queue.lanes import LaneBook, Retry, share
from delivery.queue.windows import CallEnd

A, B, C = (UUID(int=number) for number in (1, 2, 3))
NOW = 1_000.0


def book_of(cap: int) -> LaneBook:
    return LaneBook(default_cap=cap, clock=lambda: NOW)


class Claimed:
    """The attributes of a claimed job that the lane book reads."""

    def __init__(self, lane: UUID, priority: int, run_at: float) -> None:
        self.lane = lane
        self.priority = priority
        self.run_at = run_at


def claimed(lane: UUID, priority: int, count: int, run_at: float = 0.0) -> list[Any]:
    return [cast("Any", Claimed(lane, priority, run_at)) for _ in range(count)]


def take(book: LaneBook, capacity: int, now: float = NOW) -> list[tuple[tuple[UUID, int], int]]:
    """Make a claim that gets all the jobs that it asks for."""
    ask = book.quotas(capacity, now)
    jobs = [job for (lane, priority), count in ask.plain for job in claimed(lane, priority, count)]
    del jobs[ask.capacity :]
    book.settle_claim(ask, jobs)
    counts = Counter((job.lane, job.priority) for job in jobs)
    return list(counts.items())


@given(st.integers(0, 500), st.lists(st.integers(-5, 100), max_size=50))
def test_shares_fill_the_capacity_exactly(capacity: int, rooms: list[int]) -> None:
    shares = share(capacity, rooms)
    assert sum(shares) == min(capacity, sum(max(room, 0) for room in rooms))
    assert all(0 <= given <= max(room, 0) for given, room in zip(shares, rooms, strict=True))


@given(st.integers(1, 500), st.lists(st.integers(1, 100), min_size=1, max_size=50))
def test_lanes_with_room_get_nearly_equal_shares(capacity: int, rooms: list[int]) -> None:
    shares = share(capacity, rooms)
    unfilled = [given for given, room in zip(shares, rooms, strict=True) if given < room]
    if unfilled:
        assert max(shares) - min(unfilled) <= len(rooms)


@given(st.integers(1, 300), st.integers(1, 120), st.integers(1, 40))
def test_a_claim_never_exceeds_the_room_of_a_lane(capacity: int, cap: int, lanes: int) -> None:
    book = book_of(cap=cap)
    for number in range(lanes):
        book.mark_due((UUID(int=number), 100), fresh=number % 2 == 0)
    for _ in range(3):
        asked = take(book, capacity)
        assert sum(count for _, count in asked) <= capacity
        assert all(1 <= count <= cap for _, count in asked)


def test_a_lane_with_fewer_jobs_than_requested_is_removed() -> None:
    book = book_of(cap=10)
    book.mark_due((A, 100))
    ask = book.quotas(5, NOW)
    assert ask.plain == [((A, 100), 5)]
    book.settle_claim(ask, claimed(A, 100, 3))
    assert not book.has_due()


def test_a_lane_marked_during_a_claim_stays_due() -> None:
    book = book_of(cap=10)
    book.mark_due((A, 100))
    ask = book.quotas(5, NOW)
    book.mark_due((A, 100), fresh=True)
    book.settle_claim(ask, [])
    assert book.has_due()


def test_a_lane_at_its_cap_waits_until_one_of_its_calls_ends() -> None:
    book = book_of(cap=2)
    book.mark_due((A, 100))
    assert take(book, 50) == [((A, 100), 2)]
    assert take(book, 50) == []
    assert not book.has_due()
    book.finished(A, CallEnd.RESPONDED)
    assert take(book, 50) == [((A, 100), 1)]


def test_a_full_lane_stays_due_until_it_has_room_again() -> None:
    book = book_of(cap=1)
    book.mark_due((A, 100))
    take(book, 50)
    assert take(book, 50) == []
    book.mark_due((A, 5))
    book.finished(A, CallEnd.RESPONDED)
    assert take(book, 50) == [((A, 5), 1)]


def test_the_most_urgent_priority_of_a_lane_is_first() -> None:
    book = book_of(cap=10)
    book.mark_due((A, 100))
    book.mark_due((A, 1))
    ask = book.quotas(4, NOW)
    assert ask.plain == [((A, 1), 4)]
    book.settle_claim(ask, [])
    assert take(book, 4) == [((A, 100), 4)]


def test_the_cap_of_a_lane_limits_its_share() -> None:
    book = book_of(cap=10)
    book.set_cap(A, 3)
    book.mark_due((A, 100))
    assert take(book, 50) == [((A, 100), 3)]


def test_with_more_lanes_than_capacity_each_lane_gets_a_turn() -> None:
    book = book_of(cap=10)
    for lane in (A, B, C):
        book.mark_due((lane, 100))
    served = set()
    for _ in range(3):
        ((key, count),) = take(book, 1)
        assert count == 1
        served.add(key[0])
    assert served == {A, B, C}


def test_a_woken_lane_precedes_lanes_with_a_backlog() -> None:
    book = book_of(cap=100)
    for number in range(10, 60):
        book.mark_due((UUID(int=number), 100))
    take(book, 20)
    book.mark_due((A, 100), fresh=True)
    assert take(book, 20)[0][0] == (A, 100)


def test_repeatedly_woken_lanes_leave_capacity_to_lanes_with_a_backlog() -> None:
    book = book_of(cap=1_000)
    book.mark_due((A, 100))
    served = 0
    for turn in range(20):
        for number in range(100):
            book.mark_due((UUID(int=1_000 + turn * 100 + number), 100), fresh=True)
        ask = book.quotas(20, NOW)
        jobs: list[Any] = []
        for key, count in ask.plain:
            jobs += claimed(*key, min(count, 1_000 if key[0] == A else 1))
        served += sum(job.lane == A for job in jobs[: ask.capacity])
        book.settle_claim(ask, jobs[: ask.capacity])
    assert served >= 10


def test_a_lane_that_a_full_claim_did_not_reach_stays_due() -> None:
    book = book_of(cap=10)
    for lane in (A, B):
        book.mark_due((lane, 100))
    ask = book.quotas(2, NOW)
    assert ask.plain == [((A, 100), 2), ((B, 100), 2)], "most lanes have a single job"
    book.settle_claim(ask, claimed(A, 100, 2))
    assert take(book, 2) == [((B, 100), 2)]


def test_a_lane_with_a_backlog_is_asked_for_more_jobs_per_claim() -> None:
    book = book_of(cap=1_000)
    book.set_cap(A, 1_000)
    for lane in (A, B):
        for _ in range(1_000):
            book._windows.ended(lane, CallEnd.RESPONDED)
    for number in range(100, 200):
        book.mark_due((UUID(int=number), 100))
    book.mark_due((A, 100))
    largest = 0
    for _ in range(30):
        ask = book.quotas(50, NOW)
        jobs: list[Any] = []
        for key, count in ask.plain:
            jobs += claimed(*key, count if key[0] == A else 1)
            largest = max(largest, count if key[0] == A else 0)
        book.settle_claim(ask, jobs[: ask.capacity])
        for job in jobs[: ask.capacity]:
            book.finished(job.lane, CallEnd.RESPONDED)
        for number in range(100, 200):
            book.mark_due((UUID(int=number), 100))
    assert largest == 20


def test_a_lane_with_little_room_waits_briefly_for_more() -> None:
    book = book_of(cap=100)
    for _ in range(100):
        book._windows.ended(A, CallEnd.RESPONDED)
    book.mark_due((A, 100))
    assert take(book, 200) == [((A, 100), 100)]
    book.finished(A, CallEnd.RESPONDED)
    assert take(book, 200) == [], "one job is not worth a claim yet"
    book.fire_timers(NOW + 0.02)
    assert take(book, 200, NOW + 0.02) == [((A, 100), 1)], "the lane waits only briefly"


def test_the_earliest_timer_of_a_lane_marks_it_when_due() -> None:
    book = book_of(cap=10)
    book.mark_due_at((A, 100), 20.0)
    book.mark_due_at((A, 100), 10.0)
    book.mark_due_at((A, 100), 30.0)
    assert book.next_timer() == 10.0
    book.fire_timers(9.9)
    assert not book.has_due()
    book.fire_timers(10.0)
    assert book.has_due()
    assert book.next_timer() is None


def test_a_lane_pauses_between_calls_to_an_endpoint_that_does_not_respond() -> None:
    book = book_of(cap=10)
    book.mark_due((A, 100))
    take(book, 10)
    for _ in range(10):
        book.finished(A, CallEnd.NO_RESPONSE)
    assert take(book, 10) == []
    resumes = book.next_timer()
    assert resumes is not None
    assert NOW < resumes <= NOW + 1.0
    book.fire_timers(resumes)
    assert take(book, 10, resumes) == [((A, 100), 1)], "one call tests the endpoint"
    book.finished(A, CallEnd.RESPONDED)
    assert take(book, 10, resumes) == [((A, 100), 2)]


def test_a_claim_starts_slightly_before_the_last_claimed_job() -> None:
    book = book_of(cap=10)
    book.mark_due((A, 100))
    ask = book.quotas(2, NOW)
    assert book.since.get((A, 100)) is None
    book.settle_claim(ask, claimed(A, 100, 2, run_at=5_000.0))
    assert 4_999.0 < book.since[A, 100] < 5_000.0
    book.found((A, 100), 4_000.0)
    assert book.since[A, 100] == 4_000.0, "a sweep found a job that was committed late"


def test_a_lane_with_a_limit_stays_due_and_is_claimed_as_limited() -> None:
    book = book_of(cap=10)
    book.mark_due((A, 100))
    ask = book.quotas(5, NOW)
    book.mark_limited([A])
    book.settle_claim(ask._replace(plain=[]), [])
    ask = book.quotas(5, NOW)
    assert ask.plain == []
    assert ask.limited == [((A, 100), 5)]
    book.mark_unlimited([A])
    assert book.quotas(5, NOW).plain == [((A, 100), 5)]


def test_a_limited_lane_that_is_granted_less_waits_for_its_time_or_a_free_slot() -> None:
    book = book_of(cap=10)
    book.mark_due((A, 100))
    book.mark_limited([A])
    ask = book.quotas(5, NOW)
    book.settle_limited(ask, claimed(A, 100, 2), {A: 0.5}, NOW)
    assert not book.has_due()
    assert book.next_timer() == NOW + 0.5
    book.freed(A)
    ask = book.quotas(5, NOW)
    assert ask.limited == [((A, 100), 5)]
    book.settle_limited(ask, [], {A: None}, NOW)
    assert not book.has_due()
    book.fire_timers(NOW + 5.0)
    assert book.has_due()


def test_an_empty_limited_lane_is_removed() -> None:
    book = book_of(cap=10)
    book.mark_due((A, 100))
    book.mark_limited([A])
    ask = book.quotas(5, NOW)
    book.settle_limited(ask, claimed(A, 100, 2), {}, NOW)
    assert not book.has_due()


def in_doubt(book: LaneBook) -> None:
    """Fail calls of a lane until it is in doubt, then let its pause end."""
    book.mark_due((A, 100))
    for _ in range(20):
        book.finished(A, CallEnd.NO_RESPONSE_EARLY)


def test_a_lane_in_doubt_is_asked_for_the_due_job_with_the_most_failures() -> None:
    book = book_of(cap=100)
    in_doubt(book)
    later = NOW + 2
    for attempt, due in ((1, NOW), (2, NOW + 1), (1, NOW + 1), (3, NOW + 9)):
        book.failed((A, 100), Retry(attempt, due, 5_000.0 + due))
    book.since[A, 100] = 4_000.0
    ask = book.quotas(50, later)
    assert ask.plain == [((A, 100), 1)]
    assert abs(ask.since[A, 100] - 6_001.0) < 0.001
    book.settle_claim(ask, claimed(A, 100, 1, run_at=6_001.0))
    # The next claim does not skip jobs that are due before that job.
    assert book.since[A, 100] == 4_000.0
    book.finished(A, CallEnd.NO_RESPONSE_EARLY)
    assert book.has_due()
    book.fire_timers(later + 2)
    assert abs(book.quotas(50, later + 2).since[A, 100] - 6_000.0) < 0.001


def test_a_missing_job_does_not_make_the_lane_look_empty() -> None:
    book = book_of(cap=100)
    in_doubt(book)
    book.failed((A, 100), Retry(1, NOW, 5_000.0))
    ask = book.quotas(50, NOW + 2)
    book.settle_claim(ask, [])
    assert book.has_due()
    ask = book.quotas(50, NOW + 4)
    assert not ask.retries
    book.settle_claim(ask, [])
    assert not book.has_due()


def test_a_lane_that_is_not_in_doubt_stores_no_retries() -> None:
    book = book_of(cap=100)
    book.mark_due((A, 100))
    book.failed((A, 100), Retry(1, NOW, 5_000.0))
    assert not book.quotas(50, NOW + 2).retries
    in_doubt(book)
    for number in range(40):
        book.failed((A, 100), Retry(1, NOW, 5_000.0 + number))
    assert len(book._retries[A, 100]) == 16
    book.finished(A, CallEnd.RESPONDED_AGAIN)
    ask = book.quotas(50, NOW + 2)
    assert not ask.retries
    assert not book._retries
