"""Settings for display: documentation, current values and their sources, without passwords."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from itertools import pairwise
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Final, get_args

from delivery.settings.database_url import without_password
from delivery.settings.section import alternatives
from delivery.settings.sections import SECTIONS, Settings

if TYPE_CHECKING:
    from delivery.settings.section import Section, SettingField

__all__ = [
    "SettingInfo",
    "ShownSetting",
    "allowed_range",
    "describe_settings",
    "show_settings",
]

_MASK: Final = "***"


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """Documentation of one setting."""

    section: str
    key: str
    default: Any
    allowed: str
    """Range, such as `2 to 100`; empty if the type is sufficient."""
    environment: str
    """Environment variable of the setting."""
    doc: str


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """Current value of one setting."""

    section: str
    key: str
    value: Any
    """JSON value; `***` replaces the password of a URL and each of `secrets.keys`."""
    origin: str
    """`default`, or the source: a file, environment variable or argument."""


def describe_settings() -> tuple[SettingInfo, ...]:
    """List all settings in the order of the documentation."""
    return tuple(
        SettingInfo(
            section=section,
            key=key,
            default=field.get_default(call_default_factory=True),
            allowed=allowed_range(field),
            environment=f"DELIVERY_{section}_{key}".upper(),
            doc=docs.get(key, ""),
        )
        for section, model in SECTIONS.items()
        for docs in (_docstrings(model),)
        for key, field in model.model_fields.items()
    )


def _docstrings(model: type[Section]) -> dict[str, str]:
    """Return the docstrings of a section's settings by key, parsed from its source.

    Other commands do not need them, and parsing is slower than all other work on settings.
    """
    (definition,) = ast.parse(dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    docs = {}
    for statement, following in pairwise(definition.body):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            docs[statement.target.id] = " ".join(str(following.value.value).split())
    return docs


def show_settings(settings: Settings) -> tuple[ShownSetting, ...]:
    """List the current values of all settings and their sources."""
    shown = settings.model_dump(mode="json")
    if settings.database.url is not None:
        shown["database"]["url"] = without_password(settings.database.url)
    shown["secrets"]["keys"] = [_MASK for _ in settings.secrets.keys]
    return tuple(
        ShownSetting(section, key, value, settings.origin(section, key))
        for section, values in shown.items()
        for key, value in values.items()
    )


def allowed_range(field: SettingField) -> str:
    """Return the range of a number in words, such as `2 to 100`; empty if there is none."""
    metadata: list[Any] = list(field.metadata)
    for alternative in alternatives(field.annotation):
        metadata += get_args(alternative)[1:]
    low = high = ""
    for bound in metadata:
        low = _bound(bound, "ge") or _bound(bound, "gt", "more than ") or low
        high = _bound(bound, "le") or _bound(bound, "lt", "less than ") or high
    return f"{low} to {high}" if low and high else low or high


def _bound(bound: Any, kind: str, prefix: str = "") -> str:
    limit = getattr(bound, kind, None)
    return "" if limit is None else f"{prefix}{limit}".removesuffix(".0")
