"""A signing secret is replaced while jobs wait, and the former one ends at its time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import delivery
from delivery import InvalidInput, InvalidReaction, InvalidSecret, InvalidSignature, NotFound
from delivery.message.signing import generate_secret
from delivery.testing import FailFirst, Receiver, Respond
from tests.support.engines import QUICK_RETRIES, SECRET, engine_on, wait_for_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from delivery.testing import ReceivedRequest

pytestmark = pytest.mark.anyio

URL = "https://example.test/hook"
STILL_CLOCK: dict[str, Any] = {"heartbeat_interval": 100, "dead_after": 300}
"""The clock of an engine is not set again while a test moves it."""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver(default=Respond(200)) as running:
        yield running


def signed_with(request: ReceivedRequest, secret: str) -> bool:
    """Return whether one of the signatures belongs to the secret."""
    try:
        delivery.verify(request.body, request.headers, secret, tolerance=10**9)
    except InvalidSignature:
        return False
    return True


def signatures(request: ReceivedRequest) -> list[str]:
    value = dict(request.headers)["webhook-signature"]
    return [each.partition(",")[0] for each in value.split(" ")]


async def clock_is_set(engine: delivery.Engine) -> None:
    """Wait until the worker that just started has set its clock for the last time."""
    text = "SELECT bool_and(seen_at > started_at) FROM delivery.workers"
    while not await engine._pool.fetchval(text):
        await asyncio.sleep(0.01)


async def delivered(engine: delivery.Engine, receiver: Receiver) -> ReceivedRequest:
    """Deliver another trigger, and return its request."""
    trigger = await engine.trigger("x", 1)
    await wait_for_all(engine, trigger.jobs)
    return receiver.received[-1]


async def test_jobs_made_before_a_rotation_are_signed_with_the_new_secret(
    database_url: str, receiver: Receiver
) -> None:
    """Also jobs with an earlier version of their reaction, and retries."""
    path = receiver.endpoint("/once", FailFirst(1))
    async with engine_on(database_url, worker=STILL_CLOCK) as engine:
        reaction = await engine.reactions.create(
            name="r", url=path, secret=SECRET, retry=QUICK_RETRIES
        )
        trigger = await engine.trigger("x", 1)
        await engine.reactions.update(reaction.id, headers={"X-New": "1"})
        made = await engine.reactions.rotate_secret(reaction.id, keep_for=0)
        async with engine.workers():
            await wait_for_all(engine, trigger.jobs)
        assert len(receiver.received) == 2
        for request in receiver.received:
            assert "X-New" not in dict(request.headers), "the job keeps its version"
            assert signed_with(request, made.secret)
            assert not signed_with(request, SECRET)


async def test_a_former_secret_signs_until_its_time_by_the_worker_s_clock(
    database_url: str, receiver: Receiver
) -> None:
    """Nothing is written when it ends."""
    async with engine_on(database_url, worker=STILL_CLOCK) as engine:
        reaction = await engine.reactions.create(
            name="r", url=receiver.url("/r"), secret=SECRET, retry={"max_attempts": 1}
        )
        async with engine.workers():
            await clock_is_set(engine)
            assert signatures(await delivered(engine, receiver)) == ["v1"]
            made = await engine.reactions.rotate_secret(reaction.id, keep_for=600, kind="v1a")
            both = await delivered(engine, receiver)
            assert signatures(both) == ["v1", "v1a"]
            assert signed_with(both, SECRET)
            assert made.public_key is not None
            assert signed_with(both, made.public_key)
            shown = await engine.reactions.get(reaction.id)
            engine._clock.offset += 500
            assert signatures(await delivered(engine, receiver)) == ["v1", "v1a"]
            engine._clock.offset += 101
            assert signatures(await delivered(engine, receiver)) == ["v1a"]
            assert await engine.reactions.get(reaction.id) == shown


async def test_a_worker_that_reads_it_after_its_end_does_not_use_it_either(
    database_url: str, receiver: Receiver
) -> None:
    async with engine_on(database_url, worker=STILL_CLOCK) as engine:
        reaction = await engine.reactions.create(name="r", url=receiver.url("/r"), secret=SECRET)
        await engine.reactions.rotate_secret(reaction.id, keep_for=60)
        async with engine.workers():
            await clock_is_set(engine)
            # This reads and writes, so all earlier statements have ended.
            await engine.reactions.update(reaction.id, name="another")
            engine._clock.offset += 61
            assert signatures(await delivered(engine, receiver)) == ["v1"]
        assert not signed_with(receiver.received[0], SECRET)


async def test_rotations_at_the_same_moment_lose_none(database_url: str) -> None:
    """Nor does a change of something else at that moment bring an old one back."""
    secrets = [generate_secret() for _ in range(5)]
    async with engine_on(database_url) as engine:
        reaction = await engine.reactions.create(name="r", url=URL, secret=SECRET)
        await asyncio.gather(
            *(engine.reactions.rotate_secret(reaction.id, secret) for secret in secrets),
            *(engine.reactions.update(reaction.id, name=f"n{number}") for number in range(4)),
        )
        found = await engine.reactions.get(reaction.id, reveal=True)
        assert sorted(found.params.secrets) == sorted([SECRET, *secrets])
        assert [each.expires_at is None for each in found.secrets] == [True] + [False] * 5
        assert found.version == 5


async def test_the_new_secret_is_returned_once_and_later_only_with_reveal(
    database_url: str,
) -> None:
    async with engine_on(database_url) as engine:
        reaction = await engine.reactions.create(name="r", url=URL, secret=SECRET)
        made = await engine.reactions.rotate_secret(reaction.id, keep_for=3_600)
        assert made.kind is delivery.SignatureKind.V1
        assert made.secret not in repr(made)
        found = await engine.reactions.get(reaction.id)
        assert [each.secret for each in found.secrets] == ["***", "***"]
        assert found.params.secrets == ("***", "***")
        (listed,) = (await engine.reactions.list()).items
        assert listed == found
        left = found.secrets[1].expires_at
        assert left is not None
        assert 3_500 < left.timestamp() - engine._clock.now() <= 3_601
        revealed = await engine.reactions.get(reaction.id, reveal=True)
        assert revealed.params.secrets == (made.secret, SECRET)
        assert [each.secret for each in revealed.secrets] == [made.secret, SECRET]


async def test_a_secret_of_the_same_kind_is_made_unless_another_is_asked_for(
    database_url: str,
) -> None:
    async with engine_on(database_url) as engine:
        reaction = await engine.reactions.create(
            name="r", url=URL, secret=generate_secret(delivery.SignatureKind.V1A)
        )
        assert (await engine.reactions.rotate_secret(reaction.id)).secret.startswith("whsk_")
        again = await engine.reactions.rotate_secret(reaction.id, kind="v1")
        assert again.secret.startswith("whsec_")
        unsigned = await engine.reactions.create(name="r", url=URL)
        assert (await engine.reactions.rotate_secret(unsigned.id)).kind == "v1"
        assert len((await engine.reactions.get(unsigned.id)).secrets) == 1


@pytest.mark.parametrize(
    ("arguments", "kind", "problem"),
    [
        ({"secret": "swordfish"}, InvalidSecret, "whsec_"),
        ({"secret": SECRET}, InvalidReaction, "in use already"),
        ({"secret": generate_secret(), "kind": "v1a"}, InvalidSecret, "not of v1a"),
        ({"kind": "v2"}, InvalidInput, "v1, v1a"),
        ({"keep_for": -1}, InvalidInput, "keep_for"),
        ({"keep_for": float("nan")}, InvalidInput, "keep_for"),
        ({"tenant_id": "another"}, NotFound, "no reaction"),
    ],
)
async def test_a_rotation_that_cannot_be_made_changes_nothing(
    database_url: str, arguments: dict[str, Any], kind: type[Exception], problem: str
) -> None:
    async with engine_on(database_url) as engine:
        reaction = await engine.reactions.create(name="r", url=URL, secret=SECRET)
        with pytest.raises(kind, match=problem):
            await engine.reactions.rotate_secret(reaction.id, **arguments)
        assert await engine.reactions.get(reaction.id) == reaction


async def test_an_update_replaces_all_secrets_immediately(
    database_url: str, receiver: Receiver
) -> None:
    """For jobs made before too, and `None` takes the signature away."""
    other = generate_secret()
    async with engine_on(database_url) as engine:
        reaction = await engine.reactions.create(name="r", url=receiver.url("/r"), secret=SECRET)
        trigger = await engine.trigger("x", 1)
        await engine.reactions.update(reaction.id, secret=other)
        async with engine.workers():
            await wait_for_all(engine, trigger.jobs)
            assert signed_with(receiver.received[0], other)
            assert signatures(receiver.received[0]) == ["v1"]
            await engine.reactions.update(reaction.id, secret=None)
            unsigned = await delivered(engine, receiver)
        assert "webhook-signature" not in dict(unsigned.headers)
