"""Suggestions for misspelt options, keys and words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import delivery
from delivery import InvalidInput, InvalidSetting
from delivery.service.calls import CallOptions
from delivery.service.reaction_writer import ReactionChanges
from delivery.spelling import closest, did_you_mean
from tests.support.engines import engine_on

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

URL = "https://example.com/"


def misspelt(names: Any) -> Iterator[tuple[str, str]]:
    """Yield each name without its second letter, and the name itself."""
    for name in names:
        yield name[0] + name[2:], name


CREATE = (
    *("name", "event_types", "condition", "priority", "area_id", "tenant_id"),
    *CallOptions.__annotations__,
)
LONG = [name for name in CREATE if len(name) > 4]


async def test_every_option_of_a_reaction_is_suggested(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        for wrong, meant in misspelt(LONG):
            options: Any = {"name": "r", "url": URL, wrong: "x"}
            with pytest.raises(InvalidInput, match=f"did you mean {meant}") as caught:
                await engine.reactions.create(**options)
            assert wrong in str(caught.value)
        reaction = await engine.reactions.create(name="r", url=URL)
        changes = [name for name in ReactionChanges.__annotations__ if len(name) > 4]
        for wrong, meant in misspelt(changes):
            wrongly: Any = {wrong: "x"}
            with pytest.raises(InvalidInput, match=f"did you mean {meant}"):
                await engine.reactions.update(reaction.id, **wrongly)


async def test_every_option_of_a_direct_job_is_suggested(database_url: str) -> None:
    options = ("payload", "priority", "run_at", "deadline", "user_id", "connection", "headers")
    async with engine_on(database_url) as engine:
        for wrong, meant in misspelt(options):
            arguments: Any = {"url": URL, wrong: "x"}
            with pytest.raises(InvalidInput, match=f"did you mean {meant}"):
                await engine.jobs.create(**arguments)


async def test_filters_keys_and_words_are_suggested(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        for calling, meant in (
            (lambda: engine.logs.list(jb_id="x"), "job_id"),  # type: ignore[call-arg]
            (lambda: engine.logs.list(outcome="faild"), "failed"),
            (lambda: engine.jobs.list(status="runing"), "running"),
            (lambda: engine.reactions.list(state="enabld"), "enabled"),
            (
                lambda: engine.reactions.create(name="r", url=URL, retry={"max_atempts": 1}),
                "max_attempts",
            ),
            (lambda: engine.reactions.create(name="r", url=URL, body={"knd": "json"}), "kind"),
            (lambda: engine.reactions.create(name="r", url=URL, body={"kind": "jsn"}), "json"),
        ):
            with pytest.raises(InvalidInput, match=f"did you mean {meant}"):
                await calling()


def test_settings_are_suggested() -> None:
    with pytest.raises(InvalidSetting, match="did you mean http"):
        delivery.load_settings(htp={})
    with pytest.raises(InvalidSetting, match="did you mean timeout"):
        delivery.load_settings(http={"timout": 1})


def test_numbers_in_errors_have_no_exponent() -> None:
    with pytest.raises(InvalidSetting, match=r"less than or equal to 2592000, not 1e\+16"):
        delivery.load_settings(retry={"base": 1e16})


async def test_numbers_in_errors_of_a_reaction_have_no_exponent(database_url: str) -> None:
    async with engine_on(database_url) as engine:
        for options, text in (
            ({"retry": {"base": 9e6}}, "but must be from 0 to 2592000"),
            ({"retry": {"max_elapsed": 9e9}}, "but must be from 0 to 31536000"),
            ({"rate_limit": {"limit": 1, "period": 1e6}}, "to 86400 seconds"),
            ({"timeout": 1e6}, "at most 300 s"),
        ):
            arguments: Any = {"name": "r", "url": URL, **options}
            with pytest.raises(InvalidInput, match=text):
                await engine.reactions.create(**arguments)


def test_the_nearest_word_is_suggested_or_all_are_named() -> None:
    assert closest("stats", ["status", "state"]) == "status"
    assert closest("zzz", ["status"]) is None
    assert did_you_mean("stats", ["status"]) == "; did you mean status?"
    assert did_you_mean("zzz", ["b", "a"]) == "; known are a, b"
    assert did_you_mean(5, ["a"]) == "; known are a"
