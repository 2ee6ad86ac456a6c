"""The settings as people read them: what there is, what is set, and by whom; never a password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

from delivery.settings.database_url import without_password
from delivery.settings.section import alternatives
from delivery.settings.sections import SECTIONS, Settings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

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
    """What there is to know about one setting."""

    section: str
    key: str
    default: Any
    allowed: str
    """The range, such as `2 to 100`; empty where the type says all."""
    environment: str
    """Its environment variable."""
    doc: str


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """One setting as it is in force."""

    section: str
    key: str
    value: Any
    """As JSON would hold it; a password in a URL is `***`, as is each of `secrets.keys`."""
    origin: str
    """`default`, or the file, environment variable or argument it comes from."""


def describe_settings() -> tuple[SettingInfo, ...]:
    """Every setting there is, in the order of the documentation."""
    return tuple(
        SettingInfo(
            section=section,
            key=key,
            default=field.get_default(call_default_factory=True),
            allowed=allowed_range(field),
            environment=f"DELIVERY_{section}_{key}".upper(),
            doc=" ".join((field.description or "").split()),
        )
        for section, model in SECTIONS.items()
        for key, field in model.model_fields.items()
    )


def show_settings(settings: Settings) -> tuple[ShownSetting, ...]:
    """Every setting as it is in force, and who set it."""
    shown = settings.model_dump(mode="json")
    if settings.database.url is not None:
        shown["database"]["url"] = without_password(settings.database.url)
    shown["secrets"]["keys"] = [_MASK for _ in settings.secrets.keys]
    return tuple(
        ShownSetting(section, key, value, settings.origin(section, key))
        for section, values in shown.items()
        for key, value in values.items()
    )


def allowed_range(field: FieldInfo) -> str:
    """The range of a number in words, such as `2 to 100`; empty if it has none."""
    metadata: list[Any] = list(field.metadata)
    for alternative in alternatives(field.annotation):
        for extra in get_args(alternative)[1:]:
            metadata += getattr(extra, "metadata", [])
    low = high = ""
    for bound in metadata:
        low = _bound(bound, "ge") or _bound(bound, "gt", "more than ") or low
        high = _bound(bound, "le") or _bound(bound, "lt", "less than ") or high
    return f"{low} to {high}" if low and high else low or high


def _bound(bound: Any, kind: str, prefix: str = "") -> str:
    limit = getattr(bound, kind, None)
    return "" if limit is None else f"{prefix}{limit}".removesuffix(".0")
