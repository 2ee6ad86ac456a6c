"""The database refuses announcements: they are noted, and their subjects are written."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from delivery.clock import Clock
from delivery.engine.events import EventBus
from delivery.engine.reaper import Reaper
from delivery.errors import ReadOnlyDatabase
from delivery.store.driver.transaction import transaction
from tests.support.settling import rig

if TYPE_CHECKING:
    from delivery.engine.announcements import Announce
    from delivery.store.driver.connection import Connection
    from tests.support.queues import Bench

pytestmark = pytest.mark.anyio


async def refuse(bench: Bench, table: str, sqlstate: str) -> None:
    """Make the database refuse each row of a table with this SQLSTATE."""
    await bench.pool.execute(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = '{sqlstate}'; END $$"
    )
    await bench.pool.execute(
        f"CREATE TRIGGER refuse BEFORE INSERT ON delivery.{table}"
        " FOR EACH ROW EXECUTE FUNCTION public.refuse()"
    )


@pytest.mark.parametrize("sqlstate", ["42P01", "42703", "42883", "0A000", "XX000", "P0001"])
async def test_a_reaction_is_disabled_although_its_announcement_fails(
    database_url: str, sqlstate: str
) -> None:
    async with rig(database_url) as (bench, running):
        await refuse(bench, "triggers", sqlstate)
        async with transaction(bench.pool) as connection:
            await running.telling.disable_within(connection, {bench.reaction_id: "a reason"})
        state = await bench.pool.fetchval("SELECT state FROM delivery.reactions")
        assert state == "disabled"
        noted = await bench.pool.fetchrow(
            "SELECT type, subject, reason FROM delivery.pending_announcements"
        )
        assert tuple(noted) == ("reaction.disabled", bench.reaction_id, "a reason")


async def test_an_announcement_is_not_dropped_because_the_server_is_read_only(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig(database_url) as (bench, running):
        jobs = await bench.enqueue(1)

        async def work(connection: Connection, announce: Announce) -> None:
            await connection.execute("SET TRANSACTION READ ONLY")
            await announce(connection, jobs)

        with pytest.raises(ReadOnlyDatabase):
            await running.telling.transact(work)
        assert not [each for each in caplog.records if each.levelno == logging.CRITICAL]


async def test_a_noted_announcement_waits_for_a_server_that_is_read_only_without_being_put_off(
    database_url: str,
) -> None:
    async with rig(database_url) as (bench, running):
        await refuse(bench, "triggers", "25006")
        await bench.pool.execute(
            "INSERT INTO delivery.pending_announcements (type, subject)"
            " VALUES ('reaction.failing', $1)",
            bench.reaction_id,
        )
        with pytest.raises(ReadOnlyDatabase):
            await running.telling._write_noted()


async def test_a_read_only_server_does_not_set_a_dead_workers_lease_aside(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with rig(database_url) as (bench, running):
        await bench.enqueue(1)
        await bench.claim(1)
        reaper = Reaper(
            bench.pool,
            bench.ids.new(),
            Clock(),
            bench.ids,
            running.telling,
            EventBus(),
            interval=0.02,
            dead_after=0.1,
            max_stalls=3,
        )
        await refuse(bench, "delivery_logs", "25006")
        with pytest.raises(ReadOnlyDatabase):
            await reaper._reap(bench.worker_id, None)
        assert not [each for each in caplog.records if each.levelno == logging.CRITICAL]
