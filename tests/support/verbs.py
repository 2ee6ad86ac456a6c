"""The public verbs of an engine, each with arguments that it accepts."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio

from delivery.service import reaction_writer
from tests.support.engines import SECRET

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from uuid import UUID

    from delivery import Engine

__all__ = ["NOUNS", "Objects", "Verb", "all_verbs", "call"]

NOUNS: Final = ("reactions", "triggers", "jobs", "logs", "secrets", "ids")
_NOT_AN_ARGUMENT: Final = frozenset({"self", "connection"})
"""`connection` has separate tests: tests/engine/test_transactions.py."""


@dataclass(frozen=True, slots=True)
class Objects:
    """Objects in the database for the verbs to work on."""

    reaction: UUID
    trigger: UUID
    job: UUID
    """Id of a terminal job."""
    log: UUID


@dataclass(frozen=True, slots=True)
class Verb:
    """A public verb."""

    name: str
    """Name such as `jobs.get`."""
    run: Callable[..., Any]
    valid: Mapping[str, Any]
    arguments: tuple[str, ...]
    """Names of all arguments."""
    writes: bool


_CALL: Final = {"url": "https://example.com/", "secret": SECRET}
_WRITING: Final = frozenset(
    {
        "trigger",
        "trigger_many",
        "triggers.create_many",
        "reactions.create",
        "reactions.update",
        "reactions.rotate_secret",
        "reactions.enable",
        "reactions.disable",
        "reactions.reset",
        "reactions.delete",
        "jobs.create",
        "secrets.reencrypt",
    }
)


def _valid(objects: Objects) -> dict[str, dict[str, Any]]:
    """Return accepted arguments for each verb; a verb missing here fails the tests."""
    reaction = {"reaction_id": objects.reaction}
    return {
        "trigger": {"type": "order.paid", "payload": {"order": 1}},
        "trigger_many": {"requests": []},
        "triggers.create_many": {"requests": [], "tenant_id": "default", "connection": None},
        "triggers.get": {"trigger_id": objects.trigger},
        "triggers.list": {},
        "triggers.wait": {"trigger_id": objects.trigger, "timeout": 60},
        "triggers.status": {"trigger_id": objects.trigger},
        "triggers.statuses": {"of": []},
        "ids.find": {"kind": "job", "text": str(objects.job)},
        "ids.reaction_names": {"of": [objects.reaction]},
        "living_workers": {},
        "reactions.create": {"name": "r", "event_types": ["a.*"], **_CALL},
        "reactions.get": reaction,
        "reactions.list": {},
        "reactions.update": {**reaction, "name": "renamed"},
        "reactions.rotate_secret": {**reaction, "keep_for": 0},
        "reactions.enable": reaction,
        "reactions.disable": reaction,
        "reactions.reset": reaction,
        "reactions.delete": reaction,
        "reactions.preview": {**reaction, "payload": {}},
        "reactions.test": {**reaction, "payload": {}},
        "jobs.create": _CALL,
        "jobs.get": {"job_id": objects.job},
        "jobs.list": {},
        "jobs.wait": {"job_id": objects.job, "timeout": 60},
        "logs.get": {"log_id": objects.log},
        "logs.list": {},
        "logs.iterate": {},
        "logs.follow": {},
        "secrets.check": {},
        "secrets.reencrypt": {},
    }


def all_verbs(engine: Engine, objects: Objects) -> list[Verb]:
    """Return every public verb of the engine, found by reflection.

    Raises:
        KeyError: if a verb has no arguments in this module.
    """
    found: dict[str, Callable[..., Any]] = {
        "trigger": engine.trigger,
        "trigger_many": engine.trigger_many,
        "living_workers": engine.living_workers,
    }
    for noun in NOUNS:
        owner = getattr(engine, noun)
        for name in dir(owner):
            member = getattr(owner, name)
            if not name.startswith("_") and (
                inspect.iscoroutinefunction(member) or inspect.isasyncgenfunction(member)
            ):
                found[f"{noun}.{name}"] = member
    valid = _valid(objects)
    # The reaction is deleted last: the other verbs use it.
    names = sorted(found, key=lambda name: name == "reactions.delete")
    return [
        Verb(name, found[name], valid[name], _arguments_of(found[name]), name in _WRITING)
        for name in names
    ]


def _arguments_of(run: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of a verb's arguments, those of an unpacked TypedDict included."""
    names: list[str] = []
    for parameter in inspect.signature(run).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            names += _keys_of(run, parameter.name)
        elif parameter.name not in _NOT_AN_ARGUMENT:
            names.append(parameter.name)
    return tuple(names)


def _keys_of(run: Callable[..., Any], parameter: str) -> list[str]:
    module = inspect.getmodule(run)
    assert module is not None
    text = str(inspect.get_annotations(run)[parameter])
    name = text.removeprefix("Unpack[").removesuffix("]")
    # The module of a verb may import it for type checkers only.
    options = getattr(module, name, None) or getattr(reaction_writer, name)
    return sorted(options.__annotations__ | _inherited(options))


def _inherited(kind: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for each in getattr(kind, "__orig_bases__", ()):
        found |= getattr(each, "__annotations__", {})
    return found


async def call(verb: Verb, arguments: Mapping[str, Any]) -> None:
    """Call a verb; if it yields items, take the first one if it comes immediately."""
    made: Any = verb.run(**arguments)
    if inspect.isasyncgen(made):
        await _first_of(made)
    else:
        awaitable: Awaitable[Any] = made
        await awaitable


async def _first_of(items: Any) -> None:
    with anyio.move_on_after(0.05):
        async for _ in items:
            break
    await items.aclose()
