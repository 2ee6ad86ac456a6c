"""Observations that were written are not written again when the connection fails after them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from delivery.clock import Clock
from delivery.engine.announcements import Announcements
from delivery.engine.endpoint_health import EndpointHealthTracker, rules_of
from delivery.engine.events import EventBus
from delivery.engine.operational_triggers import OperationalTriggers
from delivery.policy.endpoint_health import CallResult
from delivery.queue.wakeups import Waker
from delivery.settings import HealthSettings
from tests.support.conditions import until
from tests.support.queues import opened

if TYPE_CHECKING:
    from uuid import UUID

    from tests.support.queues import Bench

pytestmark = pytest.mark.anyio

NOTED = 3


def keeper_on(bench: Bench) -> EndpointHealthTracker:
    events = EventBus()
    telling = Announcements(
        bench.pool,
        OperationalTriggers(bench.pool, bench.ids, Waker(bench.pool, notifications=False), events),
    )
    return EndpointHealthTracker(
        bench.pool,
        Clock(),
        rules_of(HealthSettings()),
        telling,
        events,
    )


async def test_failures_are_counted_once_if_a_poisoned_reaction_and_an_outage_meet(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(database_url) as bench:
        good, poisoned, late = (
            bench.reaction_id,
            await bench.add_reaction(),
            await bench.add_reaction(),
        )
        # The second row makes the batch fail for good; the third makes its own statement fail
        # like a lost connection.
        await bench.pool.execute(
            "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN RAISE EXCEPTION 'no' USING ERRCODE = TG_ARGV[0]; END$$"
        )
        for name, reaction_id, sqlstate in (("p", poisoned, "XX001"), ("l", late, "57P01")):
            await bench.pool.execute(
                f"CREATE TRIGGER {name} BEFORE INSERT ON delivery.reaction_health FOR EACH ROW"
                f" WHEN (NEW.reaction_id = '{reaction_id}')"
                f" EXECUTE FUNCTION public.refuse('{sqlstate}')"
            )
        keeper = keeper_on(bench)
        for reaction_id in (good, poisoned, late):
            for _ in range(NOTED):
                keeper.note(reaction_id, 1, CallResult.FAILED, 0.1, lambda: None, early=False)

        async def has_failed_twice() -> bool:
            return caplog.text.count("cannot write the health") >= 2

        async def is_counted() -> bool:
            return await failures_of(bench, late) is not None

        running = asyncio.create_task(keeper.run())
        await until(has_failed_twice)
        await bench.pool.execute("DROP TRIGGER l ON delivery.reaction_health")
        await until(is_counted)
        running.cancel()
        await asyncio.wait([running])
        assert await failures_of(bench, good) == NOTED
        assert await failures_of(bench, late) == NOTED
        assert await failures_of(bench, poisoned) is None
        assert caplog.text.count("cannot be judged or written") == 1


async def failures_of(bench: Bench, reaction_id: UUID) -> int | None:
    counted = await bench.pool.fetchval(
        "SELECT failures FROM delivery.reaction_health WHERE reaction_id = $1", reaction_id
    )
    assert counted is None or isinstance(counted, int)
    return counted
