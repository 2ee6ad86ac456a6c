"""Wrong types of arguments raise errors of the engine that name the problem."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from delivery import DeliveryError
from tests.support.engines import engine_on

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from delivery import Engine

pytestmark = pytest.mark.anyio


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[Engine]:
    async with engine_on(database_url) as opened:
        yield opened


async def test_options_of_a_reaction(engine: Engine) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"tls": {"ca": "x"}}, "tls is a dict"),
        ({"headers": "X: hunter2"}, "headers must be a mapping"),
        ({"headers": {"a": 5}}, "the value of header a"),
        ({"query": "a=hunter2"}, "query must be a mapping"),
        ({"secret": b"hunter2"}, "secret must be a string"),
        ({"secrets": 5}, "secret must be a string"),
        ({"status_actions": "x"}, "status_actions is a str"),
        ({"event_types": [5]}, "not a string"),
        ({"event_types": 5}, "give a list"),
        ({"body": "envelope"}, "body is a str"),
        ({"method": 5}, "method is a int"),
        ({"url": 5}, "must be a string"),
        ({"retry": 5}, "retry is a int"),
        ({"timeout": "x"}, "a number of seconds"),
        ({"redirects": "1"}, "a whole number"),
        ({"name": 5}, "name must be a string"),
        ({"condition": 5}, "condition must be a string"),
        ({"priority": "x"}, "a whole number"),
        ({"concurrency": "x"}, "a whole number"),
        ({"live": 5}, "true or false"),
        ({"ordered": "x"}, "true or false"),
    ]
    for options, said in wrong:
        with pytest.raises(DeliveryError, match=said) as refused:
            await engine.reactions.create(**{"name": "r", "url": "https://e.test/", **options})
        assert "hunter2" not in str(refused.value)
    assert (await engine.reactions.list()).items == ()


async def test_invalid_numbers_of_seconds_are_refused(engine: Engine) -> None:
    reaction = await engine.reactions.create(name="r", url="https://e.test/")
    wrong: list[Any] = ["7d", -1, float("nan"), timedelta(days=1), True]
    for seconds in wrong:
        with pytest.raises(DeliveryError, match=r"keep_for is .*; it must be seconds"):
            await engine.reactions.rotate_secret(reaction.id, keep_for=seconds)
        with pytest.raises(DeliveryError, match=r"timeout is .*; it must be seconds"):
            await engine.jobs.wait(reaction.id, timeout=seconds)


async def test_the_type_of_a_trigger(engine: Engine) -> None:
    with pytest.raises(DeliveryError, match="not a string"):
        await engine.trigger(5, {})  # type: ignore[arg-type]
