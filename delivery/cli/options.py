"""What every command takes, and the engine that it leads to."""

# Without `from __future__ import annotations`: cyclopts reads the annotations of commands, and
# what they name must be imported for good.

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, get_origin

from cyclopts import Parameter

from delivery.errors import InvalidSetting

if TYPE_CHECKING:
    from delivery.cli.render import Output
    from delivery.service import Engine
    from delivery.settings import Settings

__all__ = [
    "COMMON",
    "TENANT",
    "Common",
    "Tenant",
    "load",
    "open_engine",
    "parse_overrides",
]


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """What every command takes."""

    json: Annotated[
        bool, Parameter(group="Common", help="Print JSON: one object, or one a line (NDJSON).")
    ] = False
    database_url: Annotated[
        str | None,
        Parameter(
            group="Common",
            metavar="URL",
            help="PostgreSQL to use; default: that of the settings, else the embedded one.",
        ),
    ] = None
    config: Annotated[
        Path | None, Parameter(group="Common", help="Read settings from this TOML file.")
    ] = None
    set: Annotated[
        tuple[str, ...],
        Parameter(
            group="Common",
            metavar="SECTION.KEY=VALUE",
            help="Change a setting, such as `http.timeout=5`; lists as `a,b`; repeatable.",
        ),
    ] = ()
    debug: Annotated[
        bool, Parameter(group="Common", help="Log everything, and show the traceback of a bug.")
    ] = False

    @property
    def output(self) -> "Output":
        """Where the results go."""
        from delivery.cli.render import Output

        return Output(as_json=self.json)


COMMON = Common()

Tenant = Annotated[str, Parameter(name="--tenant", help="The tenant that the objects belong to.")]
TENANT = "default"


def load(
    common: Common,
    *,
    verbose: bool = False,
    named: Mapping[tuple[str, str], str] = MappingProxyType({}),
) -> "Settings":
    """The settings in force: the command line's over environment over file over defaults.

    Args:
        common: The command's options.
        verbose: Whether the program's own messages are what the command is about.
        named: Options of the command that set a setting, by its section and key.

    Raises:
        InvalidSetting: if one is unknown or out of range.
    """
    from delivery.observe.logs import configure_logging
    from delivery.settings.loading import read_settings

    overrides = parse_overrides(common.set)
    if common.database_url is not None:
        overrides.setdefault("database", {})["url"] = common.database_url
    if common.debug:
        overrides.setdefault("log", {}).setdefault("level", "debug")

    def source(section: str, key: str) -> str:
        if (section, key) == ("database", "url") and common.database_url is not None:
            return "--database-url"
        if (section, key) == ("log", "level") and common.debug:
            return "--debug"
        return named.get((section, key), f"--set {section}.{key}")

    settings = read_settings(common.config, overrides, source)
    configure_logging(settings, verbose=verbose)
    return settings


def parse_overrides(assignments: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`("http.timeout=5",)` as `{"http": {"timeout": "5"}}`, in the types that settings take.

    Raises:
        InvalidSetting: if one is not of the form `section.key=value`.
    """
    overrides: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot and section and key):
            # What follows the name may be a password.
            begins = re.match(r"[\w. -]{0,60}", assignment)
            shown = begins[0] if begins else ""
            more = "…" if len(shown) < len(assignment) else ""
            message = f"--set {shown + more!r} must be of the form section.key=value"
            raise InvalidSetting(message)
        overrides.setdefault(section, {})[key] = _value(section, key, value.strip())
    return overrides


def _value(section: str, key: str, value: str) -> Any:
    from delivery.settings.section import EnvironmentText, alternatives
    from delivery.settings.sections import SECTIONS

    fields = SECTIONS[section].model_fields if section in SECTIONS else {}
    if key in fields and any(
        get_origin(alternative) is tuple for alternative in alternatives(fields[key].annotation)
    ):
        return [EnvironmentText(item.strip()) for item in value.split(",") if item.strip()]
    return EnvironmentText(value)


@asynccontextmanager
async def open_engine(
    common: Common, settings: "Settings | None" = None, *, migrate: bool | None = None
) -> "AsyncIterator[Engine]":
    """The engine that the options describe.

    Args:
        common: The command's options.
        settings: Settings already loaded from them, and perhaps changed.
        migrate: As `delivery.connect` takes it.

    Raises:
        DeliveryError: as `delivery.connect`.
    """
    from delivery.service import connect

    settings = settings or load(common)
    async with connect(settings=settings, migrate=migrate) as engine:
        yield engine
