"""The heartbeat of a worker, and the calls that wait for it."""

from __future__ import annotations

import os

import pytest

from delivery.clock import Clock, IdFactory
from delivery.engine.events import EventBus, LeasesConfirmed
from delivery.engine.heartbeat import Heartbeat
from delivery.settings import Settings
from delivery.store.driver.connection import open_pool
from delivery.store.workers import WorkerIdentity

pytestmark = pytest.mark.anyio


async def test_each_heartbeat_after_a_gap_starts_the_calls_that_waited_for_it(
    database_url: str,
) -> None:
    started: list[bool] = []
    clock = Clock()
    pool = await open_pool(Settings(), database_url)

    async def audit() -> None:
        assert not started or heartbeat.held(), "leases are compared before calls start"

    events = EventBus()
    events.on(LeasesConfirmed, lambda _: started.append(heartbeat.held()))
    heartbeat = Heartbeat(
        pool,
        WorkerIdentity(IdFactory(clock).new(), "host", os.getpid(), "1"),
        clock,
        interval=1.0,
        dead_after=10.0,
        after_beat=audit,
        events=events,
    )
    try:
        await heartbeat.beat()
        await heartbeat.beat()
        assert started == [True], "nothing waits while the worker surely holds its leases"
        heartbeat._valid_until = 0.0
        started.clear()
        await heartbeat.beat()
        assert started == [True]
    finally:
        await pool.close()
