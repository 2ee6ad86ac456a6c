"""The dispatcher's book: lanes take turns, full ones cost nothing, no due work is forgotten."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from delivery.engine.lanes import LaneBook, share


class Claimed:
    """As much of a claimed job as the book looks at."""

    def __init__(self, lane: UUID, priority: int) -> None:
        self.lane = lane
        self.priority = priority


def claimed(lane: UUID, priority: int, count: int) -> list[Any]:
    return [cast("Any", Claimed(lane, priority)) for _ in range(count)]


def book_of(cap: int) -> LaneBook:
    """A book that knows the limits of all three lanes."""
    book = LaneBook(default_cap=cap)
    for lane in (A, B, C):
        book.set_cap(lane, None)
    return book


A, B, C = (UUID(int=number) for number in (1, 2, 3))


@given(st.integers(0, 500), st.lists(st.integers(-5, 100), max_size=50))
def test_shares_fill_the_capacity_and_no_more(capacity: int, rooms: list[int]) -> None:
    shares = share(capacity, rooms)
    assert sum(shares) == min(capacity, sum(max(room, 0) for room in rooms))
    assert all(0 <= given <= max(room, 0) for given, room in zip(shares, rooms, strict=True))


@given(st.integers(1, 500), st.lists(st.integers(1, 100), min_size=1, max_size=50))
def test_no_lane_gets_much_more_than_another_that_has_room(capacity: int, rooms: list[int]) -> None:
    shares = share(capacity, rooms)
    unfilled = [given for given, room in zip(shares, rooms, strict=True) if given < room]
    if unfilled:
        assert max(shares) - min(unfilled) <= len(rooms)


def test_a_lane_that_gave_less_than_asked_is_forgotten() -> None:
    book = book_of(10)
    book.mark_due((A, 100))
    quotas, mark = book.quotas(5)
    assert quotas == [((A, 100), 5)]
    book.settle_claim(quotas, mark, claimed(A, 100, 3))
    assert not book.has_due()


def test_a_lane_marked_while_the_claim_was_under_way_is_kept() -> None:
    book = book_of(10)
    book.mark_due((A, 100))
    quotas, mark = book.quotas(5)
    book.mark_due((A, 100))
    book.settle_claim(quotas, mark, [])
    assert book.has_due()


def test_a_lane_at_its_cap_waits_until_one_of_its_calls_ends() -> None:
    book = book_of(2)
    book.mark_due((A, 100))
    quotas, mark = book.quotas(50)
    assert quotas == [((A, 100), 2)]
    book.settle_claim(quotas, mark, claimed(A, 100, 2))
    assert book.quotas(50)[0] == []
    assert not book.has_due()
    book.finished(A)
    assert book.quotas(50)[0] == [((A, 100), 1)]


def test_work_marked_for_a_full_lane_is_there_when_it_has_room_again() -> None:
    book = book_of(1)
    book.mark_due((A, 100))
    quotas, mark = book.quotas(50)
    book.settle_claim(quotas, mark, claimed(A, 100, 1))
    assert book.quotas(50)[0] == []
    book.mark_due((A, 5))
    book.finished(A)
    assert book.quotas(50)[0] == [((A, 5), 1)]


def test_the_most_urgent_priority_of_a_lane_goes_first() -> None:
    book = book_of(10)
    book.mark_due((A, 100))
    book.mark_due((A, 1))
    quotas, mark = book.quotas(4)
    assert quotas == [((A, 1), 4)]
    book.settle_claim(quotas, mark, [])
    assert book.quotas(4)[0] == [((A, 100), 4)]


def test_a_reactions_own_cap_counts() -> None:
    book = book_of(10)
    book.set_cap(A, 3)
    book.mark_due((A, 100))
    assert book.quotas(50)[0] == [((A, 100), 3)]


def test_with_more_lanes_than_capacity_all_get_their_turn() -> None:
    book = book_of(10)
    for lane in (A, B, C):
        book.mark_due((lane, 100))
    served = set()
    for _ in range(3):
        quotas, mark = book.quotas(1)
        ((key, count),) = quotas
        assert count == 1
        served.add(key[0])
        book.settle_claim(quotas, mark, claimed(*key, count))
    assert served == {A, B, C}


def test_a_timer_marks_its_lane_when_its_time_has_come_and_the_earliest_counts() -> None:
    book = book_of(10)
    book.mark_due_at((A, 100), 20.0)
    book.mark_due_at((A, 100), 10.0)
    book.mark_due_at((A, 100), 30.0)
    assert book.next_timer() == 10.0
    book.fire_timers(9.9)
    assert not book.has_due()
    book.fire_timers(10.0)
    assert book.has_due()
    assert book.next_timer() is None


def test_of_a_lane_whose_limit_is_not_known_yet_one_job_is_asked_for() -> None:
    book = LaneBook(default_cap=10)
    book.mark_due((A, 100))
    quotas, mark = book.quotas(50)
    assert quotas == [((A, 100), 1)]
    book.settle_claim(quotas, mark, claimed(A, 100, 1))
    book.set_cap(A, 2)
    assert book.quotas(50)[0] == [((A, 100), 1)]


def test_a_full_lane_has_room_again_when_its_limit_grows() -> None:
    book = book_of(1)
    book.mark_due((A, 100))
    quotas, mark = book.quotas(50)
    book.settle_claim(quotas, mark, claimed(A, 100, 1))
    assert book.quotas(50)[0] == []
    book.set_cap(A, 3)
    assert book.quotas(50)[0] == [((A, 100), 2)]
