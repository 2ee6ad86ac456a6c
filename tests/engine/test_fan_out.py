"""Matching of triggers with reactions, and their atomic write."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import anyio
import anyio.lowlevel
import pytest

from delivery import InvalidInput, InvalidPayload, TriggerRequest
from delivery.clock import job_id_for
from delivery.errors import DuplicateValue
from tests.support.engines import engine_on

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery import Engine, Reaction

pytestmark = pytest.mark.anyio

URL = "http://127.0.0.1:9/"


async def _reaction(engine: Engine, *types: str, **options: object) -> Reaction:
    return await engine.reactions.create(
        name=" ".join(types),
        event_types=types,
        url=URL,
        **options,  # type: ignore[arg-type]
    )


async def test_event_types_match_by_name_by_prefix_and_all(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        exact = await _reaction(engine, "order.paid")
        prefix = await _reaction(engine, "order.*")
        every = await _reaction(engine, "*")
        await _reaction(engine, "invoice.paid")
        trigger = await engine.trigger("order.paid", 1)
        assert trigger.jobs == tuple(
            job_id_for(trigger.id, reaction.id) for reaction in (exact, prefix, every)
        ), "one job each, in the order of the reactions"
        assert (await engine.triggers.get(trigger.id)).jobs == trigger.jobs
        jobs = await engine.jobs.list(trigger_id=trigger.id)
        assert {job.reaction_id for job in jobs.items} == {exact.id, prefix.id, every.id}


async def test_a_condition_over_the_payload_decides_too(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        large = await _reaction(engine, "*", condition="total > `100`")
        assert (await engine.trigger("x", {"total": 99})).jobs == ()
        assert (await engine.trigger("x", ["no object"])).jobs == ()
        trigger = await engine.trigger("x", b'{"total": 1e400}')
        assert trigger.jobs == (job_id_for(trigger.id, large.id),)


async def test_a_condition_that_takes_too_much_work_does_not_match_and_is_logged_once(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine_on(database_url) as engine:
        bomb = await _reaction(engine, "*", condition="@" + " | [@,@][]" * 24)
        plain = await _reaction(engine, "*", condition="total > `1`")
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await anyio.lowlevel.checkpoint()
                turns += 1

        async with anyio.create_task_group() as group:
            group.start_soon(count_turns)
            for total in (2, 3):
                trigger = await engine.trigger("x", {"total": total})
                assert trigger.jobs == (job_id_for(trigger.id, plain.id),)
            group.cancel_scope.cancel()
        assert turns, "other work goes on"
        warnings = [each.getMessage() for each in caplog.records if "condition" in each.msg]
        assert len(warnings) == 1
        assert str(bomb.id) in warnings[0]
        assert "more than 100,000 steps" in warnings[0]


async def test_a_trigger_without_a_match_is_stored(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        trigger = await engine.trigger("nobody.cares", {"a": 1})
        assert trigger.jobs == ()
        assert (await engine.triggers.get(trigger.id)).payload == b'{"a":1}'


async def test_reactions_of_another_tenant_do_not_match(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        await _reaction(engine, "*", tenant_id="theirs")
        assert (await engine.trigger("x", 1)).jobs == ()
        assert len((await engine.trigger("x", 1, tenant_id="theirs")).jobs) == 1


async def test_changes_of_reactions_count_from_the_next_trigger_in_every_process(
    database_url: str,
) -> None:
    async with engine_on(database_url) as here, engine_on(database_url) as there:
        assert (await there.trigger("x", 1)).jobs == ()
        reaction = await _reaction(here, "x")
        assert len((await there.trigger("x", 1)).jobs) == 1
        await here.reactions.update(reaction.id, state="disabled")
        assert (await there.trigger("x", 1)).jobs == ()
        await here.reactions.update(reaction.id, state="enabled")
        assert len((await there.trigger("x", 1)).jobs) == 1
        await here.reactions.delete(reaction.id)
        assert (await there.trigger("x", 1)).jobs == ()


async def test_fan_out_while_reactions_change_never_misses_one_that_was_there_before(
    database_url: str,
) -> None:
    async with engine_on(database_url) as engine, engine_on(database_url) as other:
        made: list[Reaction] = []
        missing: list[object] = []

        async def create() -> None:
            for _ in range(30):
                made.append(await _reaction(engine, "x"))  # noqa: PERF401 - seen while it grows

        async def fire() -> None:
            while len(made) < 30:
                before = [reaction.id for reaction in made]
                trigger = await other.trigger("x", 1)
                jobs = set(trigger.jobs)
                missing.extend(
                    reaction for reaction in before if job_id_for(trigger.id, reaction) not in jobs
                )

        async with anyio.create_task_group() as group:
            group.start_soon(create)
            group.start_soon(fire)
            group.start_soon(fire)
        assert missing == []


async def test_one_trigger_and_reaction_can_have_only_one_job(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        reaction = await _reaction(engine, "x")
        trigger = await engine.trigger("x", 1)
        with pytest.raises(DuplicateValue):
            await engine._pool.execute(
                "INSERT INTO delivery.jobs (id, message_id, trigger_id, reaction_id, max_attempts,"
                " priority, run_at, tenant_id)"
                " VALUES ($1, $1, $2, $3, 1, 100, now(), 'default')",
                job_id_for(trigger.id, reaction.id),
                trigger.id,
                reaction.id,
            )


async def test_thousands_of_triggers_are_written_in_a_few_round_trips_all_or_none(
    database_url: str,
) -> None:
    async with engine_on(database_url) as engine:
        await _reaction(engine, "x")
        await _reaction(engine, "x")
        written = await engine.trigger_many(
            TriggerRequest("x", {"n": number}) for number in range(4000)
        )
        assert len(written) == 4000
        assert await engine._pool.fetchval("SELECT count(*) FROM delivery.waiting_jobs") == 8000
        with pytest.raises(InvalidPayload):
            await engine.trigger_many(
                [TriggerRequest("x", 1), TriggerRequest("x", b"not json")],
            )
        assert await engine._pool.fetchval("SELECT count(*) FROM delivery.waiting_jobs") == 8000


async def test_priority_delay_and_deadline_of_a_trigger_reach_its_jobs(
    database_url: str,
) -> None:
    async with engine_on(database_url) as engine:
        await _reaction(engine, "x", priority=7)
        run_at = datetime(2099, 1, 1, tzinfo=UTC)
        deadline = datetime(2099, 1, 2, tzinfo=UTC)
        plain = await engine.trigger("x", 1, user_id="u")
        special = await engine.trigger("x", 1, run_at=run_at, priority=3, deadline=deadline)
        first = await engine.jobs.get(plain.jobs[0])
        assert (first.priority, first.deadline, first.user_id) == (7, None, "u")
        second = await engine.jobs.get(special.jobs[0])
        assert (second.priority, second.run_at, second.deadline) == (3, run_at, deadline)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"delay": -1}, "must not be negative"),
        ({"delay": 1, "run_at": datetime(2099, 1, 1, tzinfo=UTC)}, "not both"),
        ({"run_at": datetime(2099, 1, 1)}, "no time zone"),  # noqa: DTZ001 - refused by the engine
        ({"delay": float("inf")}, "must be a number of seconds"),
        ({"deadline": datetime(2001, 1, 1, tzinfo=UTC)}, "not in the future"),
        ({"priority": -1}, "priority is -1"),
        ({"priority": True}, "priority is True"),
        ({"tenant_id": ""}, "tenant_id must have from 1"),
        ({"user_id": "a\0b"}, "NUL"),
    ],
)
async def test_a_trigger_with_a_bad_argument_is_refused_and_leaves_nothing(
    database_url: str, arguments: dict[str, object], problem: str
) -> None:
    async with engine_on(database_url) as engine:
        await _reaction(engine, "x")
        with pytest.raises(InvalidInput, match=problem):
            await engine.trigger("x", 1, **arguments)  # type: ignore[arg-type]
        assert await engine._pool.fetchval("SELECT count(*) FROM delivery.triggers") == 0


@pytest.mark.parametrize("event_type", ["", "a b", "order.*", "*", "a\n", "x" * 201])
async def test_an_invalid_event_type_is_refused(database_url: str, event_type: str) -> None:
    async with engine_on(database_url) as engine:
        with pytest.raises(InvalidInput):
            await engine.trigger(event_type, 1)


async def test_ids_of_others_are_not_found(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        reaction = await _reaction(engine, "x")
        trigger = await engine.trigger("x", 1)
        for read in (
            engine.reactions.get(reaction.id, tenant_id="other"),
            engine.triggers.get(trigger.id, tenant_id="other"),
            engine.jobs.get(trigger.jobs[0], tenant_id="other"),
            engine.logs.get(uuid4()),
        ):
            with pytest.raises(LookupError, match="there is no"):
                await read


async def test_a_wrong_trigger_request_is_refused_with_its_type(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        with pytest.raises(InvalidInput, match="TriggerRequest"):
            await engine.trigger_many([("x", {"n": 1})])  # type: ignore[list-item]


async def test_an_error_of_the_callers_iterable_is_raised_as_it_is(database_url: str) -> None:
    def requests() -> Iterator[TriggerRequest]:
        yield TriggerRequest("x", 1)
        message = "no such file"
        raise FileNotFoundError(message)

    async with engine_on(database_url) as engine:
        with pytest.raises(FileNotFoundError, match="no such file"):
            await engine.trigger_many(requests())
