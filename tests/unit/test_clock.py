"""Ids are UUIDv7 of the database's time, grow, and a job's id follows from trigger and reaction."""

from __future__ import annotations

import time
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from delivery.clock import Clock, IdFactory, job_id_for, jobs_of_trigger


def test_ids_are_of_version_7_and_carry_the_clocks_time() -> None:
    made = IdFactory(Clock(offset=86_400.0)).new()
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"
    assert abs((made.int >> 80) / 1000 - (time.time() + 86_400)) < 5


def test_ids_of_one_factory_grow_even_if_the_clock_jumps_back() -> None:
    clock = Clock()
    factory = IdFactory(clock)
    first = [factory.new() for _ in range(1000)]
    clock.offset = -3600.0
    both = first + [factory.new() for _ in range(1000)]
    assert both == sorted(set(both))


def test_the_clock_takes_over_the_databases_time() -> None:
    clock = Clock()
    clock.synchronise(5_000.0, sent_at=1_000.0, received_at=1_002.0)
    assert clock.offset == 3_999.0


@given(st.integers(0, 2**62 - 1), st.integers(0, 2**62 - 1))
def test_a_jobs_id_is_a_uuid7_in_its_triggers_range(trigger_bits: int, reaction_bits: int) -> None:
    prefix = IdFactory(Clock()).new().int >> 62 << 62
    trigger_id, reaction_id = UUID(int=prefix | trigger_bits), UUID(int=prefix | reaction_bits)
    job_id = job_id_for(trigger_id, reaction_id)
    first, last = jobs_of_trigger(trigger_id)
    assert first <= job_id <= last
    assert job_id.version == 7
    assert job_id_for(trigger_id, reaction_id) == job_id


@given(st.sets(st.integers(0, 2**62 - 1), min_size=2, max_size=2))
def test_two_reactions_of_one_trigger_never_share_a_job(bits: set[int]) -> None:
    factory = IdFactory(Clock())
    trigger_id = factory.new()
    prefix = factory.new().int >> 62 << 62
    jobs = {job_id_for(trigger_id, UUID(int=prefix | value)) for value in bits}
    assert len(jobs) == 2
