"""Options of every command, and the engine that they configure."""

# Without `from __future__ import annotations`: cyclopts reads the annotations of commands at
# run time, so their names need real imports.

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
    """Options of every command."""

    json: Annotated[
        bool, Parameter(group="Common", help="Print JSON: one object, or one per line (NDJSON).")
    ] = False
    database_url: Annotated[
        str | None,
        Parameter(
            group="Common",
            metavar="URL",
            help="PostgreSQL to use; default: the one in the settings, else an embedded server.",
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
            help="Override a setting, such as `http.timeout=5`; lists as `a,b`; repeatable.",
        ),
    ] = ()
    debug: Annotated[
        bool, Parameter(group="Common", help="Log at debug level, and show tracebacks of bugs.")
    ] = False

    @property
    def output(self) -> "Output":
        """The output for the results."""
        from delivery.cli.render import Output

        return Output(as_json=self.json)


COMMON = Common()

Tenant = Annotated[str, Parameter(name="--tenant", help="Tenant to operate on.")]
TENANT = "default"


def load(
    common: Common,
    *,
    verbose: bool = False,
    named: Mapping[tuple[str, str], str] = MappingProxyType({}),
) -> "Settings":
    """Load the settings: options override environment, file and defaults, in this order.

    Args:
        common: The command's options.
        verbose: Log at info level, for commands that run long.
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
    """Parse `("http.timeout=5",)` into `{"http": {"timeout": "5"}}`.

    Raises:
        InvalidSetting: if one is not of the form `section.key=value`.
    """
    overrides: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        section, dot, key = name.strip().partition(".")
        if not (equals and dot and section and key):
            # The text after the name may be a password.
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
    """Open the engine that the options describe.

    Args:
        common: The command's options.
        settings: Settings loaded from the options, if the caller changed them.
        migrate: See `delivery.connect`.

    Raises:
        DeliveryError: as `delivery.connect`.
    """
    from delivery.service import connect

    settings = settings or load(common)
    async with connect(settings=settings, migrate=migrate) as engine:
        yield engine
