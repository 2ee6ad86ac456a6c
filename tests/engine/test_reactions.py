"""Reactions: accepted and refused options, and changes."""

from __future__ import annotations

from typing import Any

import pytest

from delivery import (
    Body,
    BodyKind,
    InvalidInput,
    InvalidReaction,
    InvalidSecret,
    ReactionState,
    RetryPolicy,
    TlsOptions,
)
from tests.support.engines import SECRET, engine_on

pytestmark = pytest.mark.anyio

URL = "https://example.test/hook"


@pytest.mark.parametrize(
    ("options", "kind", "problem"),
    [
        ({"url": "nonsense"}, InvalidReaction, "scheme must be http or https"),
        ({"url": "ftp://example.test/"}, InvalidReaction, "scheme must be http or https"),
        ({"url": "http:///path"}, InvalidReaction, "has no host"),
        ({"url": "http://exa mple.test/"}, InvalidReaction, "space"),
        ({"url": "http://example.test:99999/"}, InvalidReaction, "[Pp]ort"),
        ({"url": "http://user:pw@example.test/"}, InvalidReaction, "credentials"),
        ({"url": "http://10.0.0.1/"}, InvalidReaction, "not a public address"),
        ({"url": "http://[::1]/"}, InvalidReaction, "not a public address|allowed"),
        ({"url": "http://169.254.169.254/latest"}, InvalidReaction, "allowed_networks"),
        ({"url": "http://2130706433/"}, InvalidReaction, "four decimal numbers"),
        ({"headers": {"X-Evil": "a\r\nHost: other"}}, InvalidReaction, "X-Evil"),
        ({"headers": {"bad name": "a"}}, InvalidReaction, "bad name"),
        ({"headers": {"Content-Length": "1"}}, InvalidReaction, "Content-Length"),
        ({"headers": {"webhook-id": "1"}}, InvalidReaction, "webhook-id"),
        ({"method": "BREW"}, InvalidReaction, "BREW"),
        ({"secret": "whsec_c2hvcnQ="}, InvalidSecret, "24"),
        ({"secret": "swordfish"}, InvalidSecret, "whsec_"),
        ({"secret": SECRET, "secrets": [SECRET]}, InvalidReaction, "not both"),
        ({"timeout": 0}, InvalidReaction, "timeout"),
        ({"concurrency": 0}, InvalidReaction, "concurrency"),
        ({"retry": {"max_attempts": 0}}, InvalidReaction, "max_attempts"),
        ({"retry": {"attempts": 3}}, InvalidReaction, "attempts"),
        ({"status_actions": {"404": "explode"}}, InvalidReaction, "explode"),
        ({"status_actions": {"4x": "fail"}}, InvalidReaction, "4x"),
        ({"body": {"kind": "yaml"}}, InvalidReaction, "yaml"),
        ({"body": {"knd": "json"}}, InvalidReaction, "knd"),
        ({"tls": TlsOptions(ca="no certificate")}, InvalidReaction, "tls.ca"),
        ({"condition": "total >"}, InvalidReaction, "condition"),
        ({"event_types": []}, InvalidReaction, "event_types"),
        ({"event_types": "order.paid"}, InvalidReaction, "list"),
        ({"event_types": ["order.*.paid"]}, InvalidInput, r"order\.\*\.paid"),
        ({"name": ""}, InvalidInput, "name"),
        ({"priority": 40_000}, InvalidInput, "priority"),
    ],
)
async def test_invalid_reactions_are_refused_with_a_reason(
    database_url: str, options: dict[str, Any], kind: type[Exception], problem: str
) -> None:
    async with engine_on(database_url, http={"allowed_networks": []}) as engine:
        with pytest.raises(kind, match=problem) as raised:
            await engine.reactions.create(**{"name": "r", "url": URL, **options})
        assert "swordfish" not in str(raised.value), "no message repeats a secret"
        assert (await engine.reactions.list()).items == ()


async def test_a_reaction_comes_back_as_it_was_made(database_url: str) -> None:
    policy = RetryPolicy(max_attempts=3, base=1.0, max_elapsed=60.0)
    async with engine_on(database_url) as engine:
        made = await engine.reactions.create(
            name="all of it",
            event_types=["a", "b.*"],
            url="https://example.test:8443/a?b=c",
            method="put",
            headers={"X-One": "1"},
            body=Body(BodyKind.JSON, {"fixed": True}),
            secrets=[SECRET],
            timeout=3,
            retry=policy,
            status_actions={"404": "fail"},
            concurrency=4,
            condition="a",
            area_id="area",
            priority=9,
        )
        read = await engine.reactions.get(str(made.id))
        assert read == made
        assert read.params.method == "PUT"
        assert read.params.retry == policy
        assert read.params.body.content == {"fixed": True}
        assert SECRET not in repr(read)


async def test_null_in_a_retry_policy_means_the_default_and_never_unlimited(
    database_url: str,
) -> None:
    async with engine_on(database_url, retry={"max_attempts": 7}) as engine:
        made = await engine.reactions.create(
            name="r", url=URL, retry={"max_attempts": None, "base": 2}
        )
        assert made.params.retry.max_attempts == 7
        assert made.params.retry.base == 2


async def test_an_update_changes_only_the_given_fields(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        made = await engine.reactions.create(
            name="r", url=URL, secret=SECRET, headers={"X-One": "1"}, concurrency=4
        )
        changed = await engine.reactions.update(made.id, url="https://example.test/new")
        assert changed.version == made.version + 1
        assert changed.params.url == "https://example.test/new"
        assert changed.params.secrets == ("***",)
        assert (await engine.reactions.get(made.id, reveal=True)).params.secrets == (SECRET,)
        assert changed.params.headers == (("X-One", "1"),)
        assert changed.params.concurrency == 4
        disabled = await engine.reactions.update(made.id, state="disabled")
        assert disabled.state is ReactionState.DISABLED
        with pytest.raises(InvalidReaction):
            await engine.reactions.update(made.id, url="nonsense")
        assert await engine.reactions.get(made.id) == disabled


async def test_a_deleted_reaction_is_gone_from_lists_and_reads(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        made = await engine.reactions.create(name="r", url=URL)
        await engine.reactions.delete(made.id)
        with pytest.raises(LookupError):
            await engine.reactions.get(made.id)
        with pytest.raises(LookupError):
            await engine.reactions.delete(made.id)
        assert (await engine.reactions.list()).items == ()
        (still,) = (await engine.reactions.list(state="deleted")).items
        assert still.id == made.id


async def test_pages_follow_one_another_without_gaps(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        made = [await engine.reactions.create(name=str(n), url=URL) for n in range(7)]
        found: list[object] = []
        cursor = None
        while True:
            page = await engine.reactions.list(limit=3, cursor=cursor)
            found += [reaction.id for reaction in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert found == [reaction.id for reaction in made]
        for bad in (0, 201, True):
            with pytest.raises(InvalidInput, match="limit"):
                await engine.reactions.list(limit=bad)
        for junk in ("", "junk!", "é"):
            with pytest.raises(InvalidInput, match="cursor"):
                await engine.reactions.list(cursor=junk)


async def test_an_unknown_option_is_refused_by_name(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        with pytest.raises(InvalidReaction, match="'rate_limt'; did you mean rate_limit"):
            await engine.reactions.create(name="r", url=URL, rate_limt="5/s")  # type: ignore[call-arg]
        reaction = await engine.reactions.create(name="r", url=URL)
        with pytest.raises(InvalidReaction, match="'orderd'; did you mean ordered"):
            await engine.reactions.update(reaction.id, orderd=True)  # type: ignore[call-arg]
        with pytest.raises(InvalidReaction, match="'nosuch'; known are"):
            await engine.jobs.create(url=URL, nosuch=1)  # type: ignore[call-arg]
