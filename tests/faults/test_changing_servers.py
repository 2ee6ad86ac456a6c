"""The server changes under the engine: read-only and back, failover, ended sessions, no room."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import anyio
import asyncpg
import pytest

import delivery
from delivery import JobStatus, Outcome, TriggerRequest
from delivery.errors import ReadOnlyDatabase, TooManyConnections
from delivery.queue.listener import Listener
from delivery.queue.wakeups import encode_lanes
from delivery.store.driver.connection import connect
from delivery.store.migrate import migrate
from delivery.store.notifications import CHANNEL
from delivery.testing import Receiver, Respond
from tests.support.conditions import until
from tests.support.engines import all_logs, engine_on, wait_for_all
from tests.support.proxies import Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from delivery.store.queue import LaneKey
    from tests.support.databases import DatabaseServer, PrivateServer

pytestmark = pytest.mark.anyio

SOON = 30.0
"""Seconds in which everything works again; the reported fault lasted many minutes."""


async def run_on(url: str, *texts: str) -> None:
    """Run statements on a separate connection."""
    connection = await asyncpg.connect(url)
    try:
        for text in texts:
            await connection.execute(text)
    finally:
        await connection.close()


async def trigger_works(engine: delivery.Engine) -> bool:
    """Return whether a trigger is accepted."""
    try:
        await engine.trigger("y", 1)
    except delivery.DatabaseError:
        return False
    return True


@asynccontextmanager
async def read_only(server: DatabaseServer, url: str) -> AsyncIterator[None]:
    """Make a database read-only for new sessions, and end the others."""
    name = url.partition("?")[0].rpartition("/")[2]
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    setting = f'ALTER DATABASE "{name}" SET default_transaction_read_only'
    await run_on(server.url, f"{setting} = on", end)
    try:
        yield
    finally:
        # The sessions that were opened meanwhile stay, and stay read-only.
        await run_on(server.url, f"{setting} = off")


async def test_a_producer_recovers_from_a_read_only_database(
    database_server: DatabaseServer, database_url: str
) -> None:
    async with engine_on(database_url) as engine:
        async with read_only(database_server, database_url):
            await until(lambda: refused(engine), timeout=SOON)
            # Sessions for reading, none of which may be reused for writing.
            await asyncio.gather(*(engine.jobs.list() for _ in range(20)))
        with anyio.fail_after(SOON):
            for _ in range(20):
                await engine.trigger("x", 1)


async def refused(engine: delivery.Engine) -> bool:
    """Return whether a trigger is refused because the database is read-only."""
    try:
        await engine.trigger("x", 1)
    except ReadOnlyDatabase:
        return True
    except delivery.DatabaseError:
        # A session that was ended.
        return False
    return False


async def test_a_worker_recovers_from_a_read_only_database(
    database_server: DatabaseServer, database_url: str
) -> None:
    async with (
        Receiver(default=Respond()) as receiver,
        engine_on(database_url, worker={"dead_after": 3.0}) as engine,
        engine_on(database_url, worker={"dead_after": 3.0}) as other,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        async with engine.workers(), other.workers():
            await engine.trigger("x", 1)
            await receiver.wait_for(1)
            async with read_only(database_server, database_url):
                await until(lambda: refused(engine), timeout=SOON)
                # Longer than a worker may be silent.
                await anyio.sleep(4.5)
            with anyio.fail_after(SOON):
                while not await trigger_works(engine):
                    await anyio.sleep(0.05)
                trigger = await engine.trigger("x", 2)
                (job,) = await wait_for_all(engine, trigger.jobs)
        assert job.status is JobStatus.SUCCEEDED
        assert {log.outcome for log in await all_logs(engine)} == {Outcome.SUCCEEDED}
        assert set(receiver.counts.values()) == {1}


async def test_a_failover_to_another_server_is_followed_within_seconds(
    private_server: PrivateServer,
) -> None:
    """The old primary stays, read-only, and so do the connections to it."""
    connection = await asyncpg.connect(private_server.url)
    await migrate(connection)
    await connection.close()
    with private_server.standby() as standby:
        async with (
            Proxy(private_server.url) as proxy,
            Receiver(default=Respond(delay=0.05)) as receiver,
            engine_on(proxy.url, worker={"concurrency": 5}) as engine,
            engine_on(proxy.url, worker={"concurrency": 5}) as other,
        ):
            await engine.reactions.create(name="r", url=receiver.url("/r"))
            accepted: list[UUID] = []
            async with engine.workers(), other.workers():
                for number in range(30):
                    accepted += (await engine.trigger("x", number)).jobs
                await receiver.wait_for(5)
                await run_on(
                    private_server.url,
                    "ALTER SYSTEM SET default_transaction_read_only = on",
                    "SELECT pg_reload_conf()",
                )
                await until(lambda: caught_up(private_server.url, standby.url))
                await anyio.to_thread.run_sync(standby.promote)
                proxy.redirect(standby.url)
                with anyio.fail_after(SOON):
                    while not await trigger_works(engine):
                        await anyio.sleep(0.05)
                for number in range(30):
                    accepted += (await engine.trigger("x", number)).jobs
                done = await wait_for_all(engine, accepted)
            assert {job.status for job in done} == {JobStatus.SUCCEEDED}
            received = {message for _, message in receiver.counts}
            assert {f"msg_{job.hex}" for job in accepted} <= received
            assert {log.outcome for log in await all_logs(engine)} == {Outcome.SUCCEEDED}


class Woken:
    """A dispatcher that a listener wakes."""

    def __init__(self) -> None:
        self.lanes: list[LaneKey] = []

    def wake(self, lanes: Iterable[LaneKey] | None) -> None:
        """Remember which lanes have work."""
        self.lanes.extend(lanes or ())


async def test_a_listener_leaves_a_server_that_became_read_only(
    private_server: PrivateServer,
) -> None:
    """Work is announced on the new primary, and nothing breaks the connection to the old one."""
    lane = (UUID(int=1), 1)
    with private_server.standby() as standby:
        async with Proxy(private_server.url) as proxy:
            woken = Woken()
            listener = Listener(
                proxy.url, woken, own="", connect_timeout=30.0, probe_interval=0.1, max_backoff=0.2
            )
            listening = asyncio.create_task(listener.run())

            async def heard(url: str) -> bool:
                await run_on(url, f"SELECT pg_notify('{CHANNEL}', '{encode_lanes([lane], 'x')}')")
                return lane in woken.lanes

            await until(lambda: heard(private_server.url))
            await run_on(
                private_server.url,
                "ALTER SYSTEM SET default_transaction_read_only = on",
                "SELECT pg_reload_conf()",
            )
            await anyio.to_thread.run_sync(standby.promote)
            proxy.redirect(standby.url)
            woken.lanes.clear()
            await until(lambda: heard(standby.url), timeout=SOON)
            listening.cancel()
            await asyncio.wait([listening])


async def caught_up(primary: str, standby: str) -> bool:
    """Return whether a standby has replayed everything that its primary wrote."""
    one, two = await asyncpg.connect(primary), await asyncpg.connect(standby)
    try:
        return bool(
            await two.fetchval(
                "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn",
                await one.fetchval("SELECT pg_current_wal_lsn()::text"),
            )
        )
    finally:
        await one.close()
        await two.close()


async def test_of_several_hosts_the_one_that_accepts_writes_is_taken(
    private_server: PrivateServer,
) -> None:
    connection = await asyncpg.connect(private_server.url)
    await migrate(connection)
    await connection.close()
    with private_server.standby() as standby:
        async with Proxy(standby.url) as one, Proxy(private_server.url) as two:
            url = one.url.replace(
                f"127.0.0.1:{one.port}", f"127.0.0.1:{one.port},127.0.0.1:{two.port}"
            )
            async with delivery.connect(url) as engine:
                await engine.trigger("x", 1)
            two.redirect(standby.url)
            with pytest.raises(ReadOnlyDatabase, match="none of the servers"):
                async with delivery.connect(url):
                    pass


async def test_accepted_triggers_arrive_while_backends_are_terminated(
    database_server: DatabaseServer, database_url: str
) -> None:
    name = database_url.partition("?")[0].rpartition("/")[2]
    stop = asyncio.Event()

    async def terminate() -> None:
        killer = await asyncpg.connect(database_server.url)
        while not stop.is_set():
            await killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )
            await anyio.sleep(0.4)
        await killer.close()

    async with (
        Receiver(default=Respond(delay=0.01)) as receiver,
        engine_on(database_url) as engine,
        engine_on(database_url) as producer,
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        accepted: list[UUID] = []
        async with engine.workers():
            killing = asyncio.create_task(terminate())
            unknown = 0
            ends = anyio.current_time() + 3.0
            with anyio.fail_after(60):
                while anyio.current_time() < ends or len(accepted) <= 50:
                    try:
                        written = await producer.trigger_many([TriggerRequest("x", 1)] * 5)
                    except delivery.DatabaseError:
                        unknown += 1
                    else:
                        accepted += [job for trigger in written for job in trigger.jobs]
                    await anyio.sleep(0.01)
            stop.set()
            await killing
            done = await wait_for_all(engine, accepted)
        assert {job.status for job in done} == {JobStatus.SUCCEEDED}
        received = {message for _, message in receiver.counts}
        assert {f"msg_{job.hex}" for job in accepted} <= received
        assert set(receiver.counts.values()) == {1}


@asynccontextmanager
async def role_with_connections(server: DatabaseServer, url: str, count: int) -> AsyncIterator[str]:
    """Return the URL for a role that may open this number of connections."""
    name = url.partition("?")[0].rpartition("/")[2]
    await run_on(
        server.url,
        f'CREATE ROLE "{name}" LOGIN CONNECTION LIMIT {count} IN ROLE postgres',
    )
    try:
        yield url.replace("postgres@", f"{name}@")
    finally:
        await run_on(
            server.url,
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'",
            f'DROP ROLE "{name}"',
        )


async def test_with_fewer_connections_than_its_pool_may_have_an_engine_works(
    database_server: DatabaseServer, database_url: str
) -> None:
    """Statements wait for the connections that there are."""
    async with (
        role_with_connections(database_server, database_url, 2) as url,
        engine_on(url, database={"pool_size": 8}) as engine,
    ):
        triggers = await asyncio.gather(*(engine.trigger("x", n) for n in range(30)))
        assert len({trigger.id for trigger in triggers}) == 30
        async with engine._pool.acquire(), engine._pool.acquire():
            with pytest.raises(TooManyConnections, match="max_connections"):
                await connect(url, 30.0)
