"""The clock follows the database's clock, not the machine's, and ids follow the clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from delivery.clock import Clock, IdFactory, job_id_for, jobs_of_trigger

if TYPE_CHECKING:
    import pytest


def test_ids_are_of_version_7_and_contain_the_clocks_time() -> None:
    made = IdFactory(Clock(offset=86_400.0)).new()
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert abs((made.int >> 80) / 1000 - (time.time() + 86_400)) < 5


class Machine:
    """Simulated clocks: the machine's two clocks, and the database's."""

    def __init__(self) -> None:
        self.steady = 1_000.0
        self.wall = 1_800_000_000.0
        self.database = 1_800_000_007.0
        self.clock = Clock(steady=lambda: self.steady, wall=lambda: self.wall)

    def pass_time(self, seconds: float) -> None:
        """Advance all clocks."""
        self.steady += seconds
        self.wall += seconds
        self.database += seconds

    def read(self, trip: float = 0.002) -> None:
        """Read the database's clock at the end of the round trip, the worst case."""
        sent_at = self.steady
        self.pass_time(trip)
        self.clock.synchronise(self.database, sent_at, self.steady)

    @property
    def error(self) -> float:
        """Difference between the clock and the database's clock."""
        return abs(self.clock.now() - self.database)


def milliseconds(made: UUID) -> int:
    return made.int >> 80


def test_a_step_of_the_machines_clock_has_no_effect() -> None:
    machine = Machine()
    machine.read()
    machine.wall += 3_600
    assert machine.error < 0.01
    machine.pass_time(100)
    machine.wall -= 864_000
    assert machine.error < 0.01


def test_a_step_of_the_machines_clock_requires_another_reading() -> None:
    machine = Machine()
    machine.read()
    assert not machine.clock.is_stale(60.0)
    machine.wall += 3_600
    assert machine.clock.is_stale(60.0)
    machine.read()
    assert not machine.clock.is_stale(60.0)
    machine.pass_time(60.0)
    assert machine.clock.is_stale(60.0)


def test_a_suspension_that_the_steady_clock_excludes_is_detected() -> None:
    machine = Machine()
    machine.read()
    machine.wall += 28_800
    machine.database += 28_800
    assert machine.clock.is_stale(60.0)
    machine.read()
    assert machine.error < 0.01


def test_a_step_of_the_databases_clock_is_followed_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    machine = Machine()
    machine.read()
    machine.database -= 600
    machine.read()
    assert machine.error < 0.01
    assert "has jumped back by 600.0 s" in caplog.text
    caplog.clear()
    machine.pass_time(3)
    machine.read()
    assert not caplog.text


def test_a_reading_with_a_long_round_trip_does_not_replace_a_more_accurate_one() -> None:
    machine = Machine()
    machine.read(trip=0.002)
    machine.read(trip=8.0)
    assert machine.error < 0.01
    machine.database += 60
    machine.read(trip=8.0)
    assert machine.error < 5, "the readings contradict each other, so the new one is accepted"


def test_an_old_reading_is_replaced_by_an_equally_accurate_one() -> None:
    machine = Machine()
    machine.read(trip=0.01)
    machine.pass_time(3_600)
    machine.database += 0.3
    machine.read(trip=0.02)
    assert machine.error < 0.02


steps = st.lists(
    st.tuples(
        st.sampled_from(["wall", "database", "time"]),
        st.floats(-1e6, 1e6, allow_nan=False),
        st.floats(0.0001, 2.0),
    ),
    max_size=20,
)


@given(steps)
def test_time_and_ids_are_correct_after_each_reading(
    events: list[tuple[str, float, float]],
) -> None:
    machine = Machine()
    factory = IdFactory(machine.clock)
    for kind, seconds, trip in events:
        if kind == "wall":
            machine.wall += seconds
        elif kind == "database":
            machine.database += seconds
        else:
            machine.pass_time(abs(seconds))
        machine.read(trip)
        assert machine.error <= 2 * trip + 1.0
        for _ in range(3):
            ahead = milliseconds(factory.new()) / 1000 - machine.database
            assert -2 * trip - 2.0 <= ahead <= 2 * trip + 2.0


def test_ids_of_one_factory_increase_even_if_the_clock_goes_back_slightly() -> None:
    clock = Clock()
    factory = IdFactory(clock)
    first = [factory.new() for _ in range(1000)]
    clock.offset -= 0.5
    both = first + [factory.new() for _ in range(1000)]
    assert both == sorted(set(both))


def test_a_wrong_reading_does_not_affect_later_ids() -> None:
    machine = Machine()
    factory = IdFactory(machine.clock)
    machine.read()
    right = factory.new()
    machine.database += 864_000
    machine.read()
    factory.new()
    machine.database -= 864_000
    machine.read()
    after = factory.new()
    assert abs(milliseconds(after) - milliseconds(right)) < 1_000
    assert right < after


def test_the_default_steady_clock_is_monotonic() -> None:
    clock = Clock()
    if hasattr(time, "CLOCK_BOOTTIME"):
        assert abs(clock.steady() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1
    assert abs(clock.now() - time.time()) < 1


@given(st.integers(0, 2**62 - 1), st.integers(0, 2**62 - 1))
def test_the_id_of_a_job_is_a_uuid7_in_the_range_of_its_trigger(
    trigger_bits: int, reaction_bits: int
) -> None:
    prefix = IdFactory(Clock()).new().int >> 62 << 62
    trigger_id, reaction_id = UUID(int=prefix | trigger_bits), UUID(int=prefix | reaction_bits)
    job_id = job_id_for(trigger_id, reaction_id)
    first, last = jobs_of_trigger(trigger_id)
    assert first <= job_id <= last
    assert job_id.version == 7
    assert job_id_for(trigger_id, reaction_id) == job_id


@given(st.sets(st.integers(0, 2**62 - 1), min_size=2, max_size=2))
def test_two_reactions_to_one_trigger_have_different_jobs(bits: set[int]) -> None:
    factory = IdFactory(Clock())
    trigger_id = factory.new()
    prefix = factory.new().int >> 62 << 62
    jobs = {job_id_for(trigger_id, UUID(int=prefix | value)) for value in bits}
    assert len(jobs) == 2
