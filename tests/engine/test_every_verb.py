"""Every public verb of the engine, with wrong values for every argument."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg
import pytest

from delivery import DeliveryError
from delivery.message.storage.encryption import generate_key
from tests.support.engines import all_logs, engine_on
from tests.support.verbs import Objects, Verb, all_verbs, call

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from delivery import Engine

pytestmark = pytest.mark.anyio

WRONG: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    5,
    10**30,
    -(10**30),
    1e300,
    float("nan"),
    float("inf"),
    "",
    "abc",
    "nul \0",
    "surrogate \ud800",
    "x" * 100_000,
    b"bytes",
    b"\xff\0",
    [],
    [5],
    ["nul \0"],
    ["surrogate \ud800"],
    [("a", 5)],
    [("a", "nul \0")],
    {},
    {"a": 5},
    {"nul \0": "nul \0"},
    {"surrogate \ud800": "surrogate \ud800"},
    {5: 5},
    {"a": {"b": object()}},
    object(),
    datetime.now(),  # noqa: DTZ005 - without a zone on purpose
    datetime.min,  # noqa: DTZ901
    datetime.max.replace(tzinfo=UTC),
    datetime.min.replace(tzinfo=UTC),
    timedelta.max,
    timedelta.min,
    UUID(int=0),
    UUID(int=2**128 - 1),
    "AAAA",
    "infinity",
    range(10**9),
)


LONGEST_MESSAGE: Final = 1_000
QUICK: Final = {"connect_timeout": 0.1, "timeout": 0.1}


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[Engine]:
    async with engine_on(database_url, http=QUICK, secrets={"keys": [generate_key()]}) as opened:
        yield opened


async def objects_on(engine: Engine) -> Objects:
    """Make a reaction, a trigger, and a failed job with its log row."""
    reaction = await engine.reactions.create(
        name="made",
        event_types=["made"],
        url="http://127.0.0.1:9/",
        retry={"max_attempts": 1},
    )
    trigger = await engine.trigger("made", {})
    async with engine.workers():
        await engine.jobs.wait(trigger.jobs[0], timeout=60)
    (log,) = await all_logs(engine)
    return Objects(reaction.id, trigger.id, trigger.jobs[0], log.id)


async def test_each_verb_accepts_the_valid_arguments(engine: Engine) -> None:
    objects = await objects_on(engine)
    for verb in all_verbs(engine, objects):
        if verb.name != "reactions.delete":
            await call(verb, verb.valid)


async def test_wrong_values_are_refused_with_errors_of_the_engine(engine: Engine) -> None:
    objects = await objects_on(engine)
    escaped: list[str] = []
    for verb in all_verbs(engine, objects):
        for argument in verb.arguments:
            for value in WRONG:
                error = await _error_of(verb, {**verb.valid, argument: value})
                if error is None:
                    continue
                if not isinstance(error, DeliveryError) or len(str(error)) > LONGEST_MESSAGE:
                    shown = f"{type(error).__name__}: {error}"
                    escaped.append(f"{verb.name}({argument}={value!r:.40}): {shown:.120}")
    assert not escaped, f"{len(escaped)}:\n" + "\n".join(escaped[:400])


async def _error_of(verb: Verb, arguments: dict[str, Any]) -> Exception | None:
    try:
        await call(verb, arguments)
    except Exception as error:  # noqa: BLE001 - the test judges all of them
        return error
    return None


async def test_an_unknown_argument_is_refused_by_name(engine: Engine) -> None:
    objects = await objects_on(engine)
    for verb in all_verbs(engine, objects):
        error = await _error_of(verb, {**verb.valid, "unheard_of": 1})
        assert isinstance(error, DeliveryError | TypeError), verb.name
        assert "unheard_of" in str(error), verb.name


async def test_refused_calls_write_nothing(engine: Engine, database_url: str) -> None:
    objects = await objects_on(engine)
    counts = [
        "SELECT count(*) FROM delivery.triggers",
        "SELECT count(*) FROM delivery.jobs",
        "SELECT count(*) FROM delivery.waiting_jobs",
        "SELECT count(*) FROM delivery.reactions",
        "SELECT count(*) FROM delivery.reaction_versions",
    ]
    async with closing_connection(database_url) as connection:
        for verb in all_verbs(engine, objects):
            for argument in verb.arguments:
                before = [await connection.fetchval(count) for count in counts]
                error = await _error_of(verb, {**verb.valid, argument: object()})
                if error is not None:
                    after = [await connection.fetchval(count) for count in counts]
                    assert after == before, argument


@asynccontextmanager
async def closing_connection(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """Open a connection and close it even if the test fails: uvloop waits for open ones."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()
