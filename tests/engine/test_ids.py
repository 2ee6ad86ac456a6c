"""A unique beginning or end of an id is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from delivery import InvalidInput, NotFound
from delivery.testing import Receiver
from tests.support.engines import all_logs, engine_on, wait_for_all

if TYPE_CHECKING:
    from delivery import Engine

pytestmark = pytest.mark.anyio


async def one_of_each(engine: Engine, receiver: Receiver) -> dict[str, UUID]:
    """Create an id of each kind."""
    reaction = await engine.reactions.create(name="r", url=receiver.endpoint("/"))
    trigger = await engine.trigger("a", {})
    async with engine.workers():
        (job,) = await wait_for_all(engine, trigger.jobs)
    (log,) = await all_logs(engine)
    return {"reaction": reaction.id, "trigger": trigger.id, "job": job.id, "log": log.id}


async def test_ids_of_every_kind_are_found_by_either_end(database_url: str) -> None:
    async with Receiver() as receiver, engine_on(database_url) as engine:
        for kind, identity in (await one_of_each(engine, receiver)).items():
            text = str(identity)
            for part in (
                *(text, text.upper(), text.replace("-", ""), identity),
                *(text[:8], text[:15], text[:35], text[-4:], text[-12:], text[-25:]),
                f"…{text[-12:]}",
            ):
                assert await engine.ids.find(kind, part) == identity, (kind, part)  # type: ignore[arg-type]


async def test_a_part_of_several_ids_is_refused_with_the_candidates(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        made = [
            (await engine.reactions.create(name=str(number), url="https://example.com/")).id
            for number in range(7)
        ]
        shared = str(made[0])[:6]
        with pytest.raises(InvalidInput, match="several reaction ids begin or end") as caught:
            await engine.ids.find("reaction", shared)
        named = [identity for identity in made if str(identity) in str(caught.value)]
        assert named == made[2:]
        assert "and others; give more digits" in str(caught.value)


@pytest.mark.parametrize("text", ["", "abc", "zzzz", "019-", 5, None, "a" * 33, "%%%%"])
async def test_a_string_that_is_not_part_of_an_id_is_refused(database_url: str, text: Any) -> None:
    async with engine_on(database_url) as engine:
        with pytest.raises(InvalidInput, match="at least 4 digits of its beginning or end"):
            await engine.ids.find("job", text)


async def test_ids_of_other_tenants_are_not_found(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        made = await engine.reactions.create(
            name="r", url="https://example.com/", tenant_id="other"
        )
        for part in (str(made.id)[:13], str(made.id)[-12:]):
            with pytest.raises(NotFound, match=r"no reaction in tenant 'default'"):
                await engine.ids.find("reaction", part)
            assert await engine.ids.find("reaction", part, tenant_id="other") == made.id


async def test_a_whole_id_is_not_looked_up_and_an_unknown_kind_is_refused(
    database_url: str,
) -> None:
    absent = uuid4()
    async with engine_on(database_url) as engine:
        assert await engine.ids.find("job", str(absent)) == absent
        with pytest.raises(InvalidInput, match="did you mean trigger"):
            await engine.ids.find("triger", "abcd")  # type: ignore[arg-type]


async def test_the_id_of_something_else_is_recognised(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        trigger = await engine.trigger("a", {})
        with pytest.raises(NotFound, match=r"no job in tenant .*; a trigger has such an id"):
            await engine.ids.find("job", str(trigger.id)[-12:])
