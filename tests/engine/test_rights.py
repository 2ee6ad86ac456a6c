"""The owner migrates; workers and producers may only write rows, and readers only read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio
import asyncpg
import pytest

import delivery
from delivery import JobStatus, ReactionState, TriggerRequest
from delivery.engine.maintenance import Maintenance
from delivery.engine.watch import DatabaseWatch, partitions_alarm
from delivery.errors import DatabaseError
from delivery.message.storage.encryption import generate_key
from delivery.service.database import migrate_database
from delivery.settings import load_settings
from delivery.store import partitions
from delivery.store.grants import renew_grants
from delivery.testing import FailFirst, Receiver, Respond
from tests.cli.running import call
from tests.support.conditions import until
from tests.support.engines import QUICK_RETRIES, all_logs, engine_on, wait_for_all
from tests.support.roles import Role, execute, quoted, roles

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

ONE_DAY: Final = {"days_ahead": 1}
REFUSED: Final = (DatabaseError, asyncpg.InsufficientPrivilegeError)


@dataclass(frozen=True, slots=True)
class Granted:
    """A database that its owner has migrated, and roles that do not own it."""

    url: str
    """As the server's superuser."""
    owner: Role
    worker: Role
    reader: Role

    async def run(self, text: str) -> Any:
        """Run a statement as the superuser."""
        return await run(self.url, text)


async def run(url: str, text: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(text)
    finally:
        await connection.close()


@pytest.fixture
def granted(empty_database_url: str) -> Iterator[Granted]:
    url = empty_database_url
    database = quoted(url.partition("?")[0].rpartition("/")[2])
    # Names that must be quoted.
    with roles(url, "the owner", "Worker", 'reader"s') as (owner, worker, reader):
        execute(
            url,
            f"REVOKE ALL ON DATABASE {database} FROM PUBLIC",
            f"ALTER DATABASE {database} OWNER TO {quoted(owner.name)}",
        )
        settings = load_settings(None, database={"url": owner.url}, partitions=ONE_DAY)

        async def migrate() -> None:
            await migrate_database(settings, workers=[worker.name], readers=[reader.name])

        anyio.run(migrate)
        try:
            yield Granted(url, owner, worker, reader)
        finally:
            execute(url, f"ALTER DATABASE {database} OWNER TO CURRENT_USER")


async def test_a_role_with_granted_rights_can_do_everything_that_a_worker_does(
    granted: Granted,
) -> None:
    key, newer = generate_key(), generate_key()
    health = {"open_failures": 2, "open_after": 0, "probe_after": 0.1}
    async with Receiver(default=Respond()) as receiver:
        receiver.endpoint("/fails", FailFirst(3, Respond(500)))
        receiver.endpoint("/gone", Respond(410))
        async with (
            engine_on(granted.worker.url, health=health, secrets={"keys": [key]}) as engine,
            engine.workers(),
        ):
            good = await engine.reactions.create(
                name="good", url=receiver.url("/good"), event_types=["good"], concurrency=2
            )
            await engine.reactions.create(
                name="fails",
                url=receiver.url("/fails"),
                event_types=["fails"],
                retry=QUICK_RETRIES,
            )
            gone = await engine.reactions.create(
                name="gone", url=receiver.url("/gone"), event_types=["gone"]
            )
            await engine.reactions.create(name="own", url=receiver.url("/own"), event_types=["own"])
            triggers = await engine.trigger_many(
                [TriggerRequest(kind, {"n": 1}) for kind in ("good", "fails", "gone")]
            )
            direct = await engine.jobs.create(url=receiver.url("/direct"), payload=1)
            ended = await wait_for_all(
                engine, [*(job for trigger in triggers for job in trigger.jobs), direct.id]
            )
            assert [job.status for job in ended] == [
                *(JobStatus.SUCCEEDED, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.SUCCEEDED)
            ]

            async def is_disabled() -> bool:
                return (await engine.reactions.get(gone.id)).state is ReactionState.DISABLED

            await until(is_disabled)
            await engine.reactions.enable(gone.id)
            await engine.reactions.reset(gone.id)
            await engine.reactions.disable(gone.id)
            await engine.reactions.update(good.id, name="better")
            await engine.reactions.rotate_secret(good.id)
            await engine.reactions.delete(gone.id)
            assert len(await all_logs(engine)) >= 6
        async with engine_on(granted.worker.url, secrets={"keys": [newer, key]}) as engine:
            assert (await engine.secrets.reencrypt()).changed > 0
            assert await partitions.ensure_partitions(engine._pool, 3) == 8


async def test_a_worker_may_not_change_the_schema_nor_grant_rights(granted: Granted) -> None:
    connection = await asyncpg.connect(granted.worker.url)
    try:
        for text in (
            "CREATE TABLE delivery.mine ()",
            "DELETE FROM delivery.jobs",
            "DROP TABLE delivery.waiting_jobs",
            "INSERT INTO delivery.schema_migrations VALUES (99, 'x', 'x')",
            f"SELECT delivery.grant_worker('{granted.worker.name}')",
            "SELECT delivery.renew_grants()",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(text)
        with pytest.raises(asyncpg.InvalidParameterValueError, match="0 to 366 days"):
            await partitions.ensure_partitions(connection, 100_000)
    finally:
        await connection.close()


async def test_names_in_the_callers_schemas_do_not_reach_the_owners_function(
    granted: Granted,
) -> None:
    """A function that runs as its owner must not find objects that its caller has planted."""
    database = quoted(granted.url.partition("?")[0].rpartition("/")[2])
    await granted.run(f"GRANT TEMPORARY ON DATABASE {database} TO {quoted(granted.worker.name)}")
    connection = await asyncpg.connect(granted.worker.url)
    try:
        await connection.execute(
            "CREATE FUNCTION pg_temp.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS"
            " $$ SELECT 'ALTER ROLE ' || current_user || ' SUPERUSER' $$"
        )
        await connection.execute("SET search_path = pg_temp, pg_catalog, delivery")
        assert await partitions.ensure_partitions(connection, 4) == 12
    finally:
        await connection.close()


async def test_a_role_that_may_only_read_can_read_everything_and_write_nothing(
    granted: Granted,
) -> None:
    async with Receiver(default=Respond()) as receiver:
        async with engine_on(granted.worker.url) as engine, engine.workers():
            reaction = await engine.reactions.create(name="r", url=receiver.url("/r"))
            trigger = await engine.trigger("x", 1)
            await wait_for_all(engine, trigger.jobs)
        async with engine_on(granted.reader.url) as engine:
            assert (await engine.jobs.get(trigger.jobs[0])).status is JobStatus.SUCCEEDED
            assert len((await engine.jobs.list()).items) == 1
            assert len(await all_logs(engine)) == 1
            assert (await engine.triggers.get(trigger.id)).jobs == trigger.jobs
            assert (await engine.reactions.get(reaction.id)).name == "r"
            for write in (
                engine.trigger("x", 1),
                engine.jobs.create(url=receiver.url("/r")),
                engine.reactions.create(name="new", url=receiver.url("/r")),
                engine.reactions.delete(reaction.id),
            ):
                with pytest.raises(REFUSED, match="permission denied"):
                    await write
        for command in (("jobs", "list"), ("logs", "list"), ("reactions", "list")):
            listed = await call(*command, "--json", "--database-url", granted.reader.url)
            assert listed.code == 0, listed.err
            assert len(listed.object["items"]) == 1


async def test_connecting_writes_nothing(granted: Granted) -> None:
    """Not even where there is something to make: today's partitions are missing."""
    day = await granted.run("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")
    await granted.run(f"DROP TABLE delivery.triggers_{day}")
    for role in (granted.reader, granted.worker):
        url = f"{role.url}{'&' if '?' in role.url else '?'}default_transaction_read_only=on"
        async with delivery.connect(url, partitions=ONE_DAY) as engine:
            assert not (await engine.jobs.list()).items
    assert await granted.run(f"SELECT to_regclass('delivery.triggers_{day}')") is None


async def test_a_producer_makes_missing_partitions(granted: Granted) -> None:
    day = await granted.run("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")
    async with engine_on(granted.worker.url) as engine:
        await granted.run(f"DROP TABLE delivery.triggers_{day}")
        await engine.trigger("x", 1)
        await granted.run(f"DROP TABLE delivery.direct_jobs_{day}")
        await engine.jobs.create(url="http://127.0.0.1:9/", payload=1)
        await granted.run(f"DROP TABLE delivery.triggers_{day}")
        connection = await asyncpg.connect(granted.worker.url)
        try:
            with pytest.raises(DatabaseError, match="restart it"):
                async with connection.transaction():
                    await engine.trigger("x", 2, connection=connection)
            async with connection.transaction():
                await engine.trigger("x", 3, connection=connection)
        finally:
            await connection.close()
        assert [trigger.payload for trigger in (await engine.triggers.list()).items] == [b"3"]


async def test_a_producer_without_the_right_to_make_partitions_gets_an_error_that_says_who_has_it(
    granted: Granted,
) -> None:
    day = await granted.run("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")
    await granted.run(f"DROP TABLE delivery.triggers_{day}")
    await granted.run("DROP FUNCTION delivery.ensure_partitions")
    async with engine_on(granted.worker.url) as engine:
        with pytest.raises(DatabaseError, match="run `delivery migrate` as the owner"):
            await engine.trigger("x", 1)


async def test_maintenance_without_rights_stops_nothing_and_logs_once(
    granted: Granted, caplog: pytest.LogCaptureFixture
) -> None:
    await granted.run(
        "REVOKE EXECUTE ON FUNCTION delivery.ensure_partitions(integer)"
        f" FROM {quoted(granted.worker.name)}"
    )
    async with Receiver(default=Respond()) as receiver, engine_on(granted.worker.url) as engine:
        keeper = Maintenance(engine._pool, days_ahead=1)
        assert not await keeper.round()
        assert not await keeper.round()
        assert caplog.text.count("could not be made: the database role lacks rights") == 1
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        async with engine.workers():
            (job,) = await wait_for_all(engine, (await engine.trigger("x", 1)).jobs)
        assert job.status is JobStatus.SUCCEEDED


async def test_an_alarm_is_raised_long_before_partitions_run_out(
    granted: Granted, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine_on(granted.reader.url) as engine:
        await DatabaseWatch(engine._pool, engine._clock, days_ahead=2).count()
        assert not caplog.text
        await DatabaseWatch(engine._pool, engine._clock, days_ahead=7).count()
        assert "there are partitions for only 1 more day" in caplog.text
        assert "delivery migrate --grant" in caplog.text


@pytest.mark.parametrize(
    ("left", "ahead", "words"),
    [
        (7, 7, None),
        (4, 7, None),
        (3, 7, "3 more days"),
        (1, 1, None),
        (0, 1, "for today only"),
        (-1, 1, "no partitions for today"),
    ],
)
def test_the_alarm_counts_the_days_that_are_left(left: int, ahead: int, words: str | None) -> None:
    alarm = partitions_alarm(left, ahead)
    assert (alarm is None) if words is None else (alarm is not None and words in alarm)


async def test_the_days_left_end_at_the_first_gap(granted: Granted) -> None:
    async with engine_on(granted.worker.url) as engine:
        await partitions.ensure_partitions(engine._pool, 5)
        assert await partitions.days_left(engine._pool) == 5
        day = await granted.run("SELECT to_char(now() AT TIME ZONE 'UTC' + '3 days', 'YYYYMMDD')")
        await granted.run(f"ALTER TABLE delivery.jobs DETACH PARTITION delivery.jobs_{day}")
        assert await partitions.days_left(engine._pool) == 2


async def test_later_migrations_grant_rights_to_their_new_objects(granted: Granted) -> None:
    connection = await asyncpg.connect(granted.owner.url)
    try:
        await connection.execute("CREATE TABLE delivery.added (id integer)")
        await renew_grants(connection)
        await run(granted.worker.url, "INSERT INTO delivery.added VALUES (1)")
        assert await run(granted.reader.url, "SELECT id FROM delivery.added") == 1
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await run(granted.reader.url, "INSERT INTO delivery.added VALUES (1)")
    finally:
        await connection.close()


async def test_the_command_line_grants_rights_and_explains_errors(
    granted: Granted,
) -> None:
    as_owner = ("migrate", "--database-url", granted.owner.url)
    done = await call(
        *as_owner, "--grant", granted.worker.name, "--grant-read", granted.reader.name
    )
    assert done.code == 0, done.err
    assert f"{granted.worker.name} may produce and deliver" in done.out
    missing = await call(*as_owner, "--grant", "nobody; DROP TABLE delivery.jobs")
    assert missing.code == 3
    assert "create the role first" in missing.err
    as_worker = await call(
        *("migrate", "--database-url", granted.worker.url, "--grant", granted.reader.name)
    )
    assert as_worker.code == 3
    assert "as the owner of the schema" in as_worker.err
    assert (await call(*as_owner, "--check", "--grant", "x")).code == 2
