"""Loading of settings: sources are read, merged and checked; errors name the source."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_origin

from delivery.errors import InvalidSetting
from delivery.settings.display import allowed_range
from delivery.settings.section import EnvironmentText, InvalidValues, Section, alternatives
from delivery.settings.sections import SECTIONS, Settings
from delivery.spelling import closest, did_you_mean

if TYPE_CHECKING:
    from delivery.settings.values import Problem

__all__ = ["load_settings", "read_settings"]

_PREFIX: Final = "DELIVERY_"
_SECRET: Final = frozenset({("database", "url"), ("secrets", "keys")})
"""Keys with secret values, which messages do not contain."""

Values = dict[str, dict[str, Any]]
"""Values of one source by section and key."""
Origins = dict[tuple[str, str], str]
"""Name of the source by section and key."""


def load_settings(config: Path | str | None = None, **overrides: Any) -> Settings:
    """Read the settings: `overrides` over the environment over the TOML file over the defaults.

    Args:
        config: TOML file. Default: the file that `DELIVERY_CONFIG` names, or no file.
        overrides: A mapping (or a `Section`) per section, such as `http={"timeout": 5}`.

    Raises:
        InvalidSetting: If a key is unknown, a value has the wrong type or is out of range, or the
            file cannot be read. The message lists each such key with its valid values and source.
    """
    return read_settings(config, overrides, lambda section, _key: f"argument {section}")


def read_settings(
    config: Path | str | None, overrides: Mapping[str, Any], source: Callable[[str, str], str]
) -> Settings:
    """Read the settings like `load_settings`, with a name for the source of the overrides.

    Args:
        config: As of `load_settings`.
        overrides: As of `load_settings`.
        source: Returns the source of a section and key, for errors and `config show`.

    Raises:
        InvalidSetting: as `load_settings`.
    """
    path = config or os.environ.get(f"{_PREFIX}CONFIG") or None
    values: Values = {}
    origins: Origins = {}
    if path is not None:
        name = str(path)
        _merge(values, origins, _from_file(Path(path)), lambda _section, _key: name)
    _merge(
        values,
        origins,
        _from_environment(os.environ),
        lambda section, key: f"environment variable {_variable(section, key)}",
    )
    _merge(values, origins, _from_arguments(overrides, source), source)
    try:
        return Settings(**values).with_origins(origins)
    except InvalidValues as error:
        lines = [_explain(place, each, origins) for place, each in error.problems.items()]
        raise InvalidSetting("\n".join(lines)) from None


def _merge(values: Values, origins: Origins, layer: Values, origin: Any) -> None:
    """Merge `layer` into `values` and record the source of each key."""
    for section, keys in layer.items():
        values.setdefault(section, {}).update(keys)
        origins.update({(section, key): origin(section, key) for key in keys})


def _from_file(path: Path) -> Values:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}"
        raise InvalidSetting(message) from error
    except UnicodeDecodeError as error:
        message = f"{path}: is not UTF-8 text: {error.reason} at byte {error.start}"
        raise InvalidSetting(message) from error
    except tomllib.TOMLDecodeError as error:
        message = f"{path}: is not valid TOML: {error}"
        raise InvalidSetting(message) from error
    return _sections(document, str(path))


def _from_arguments(overrides: Mapping[str, Any], source: Callable[[str, str], str]) -> Values:
    given = {
        section: value.model_dump(exclude_unset=True) if isinstance(value, Section) else value
        for section, value in overrides.items()
        if value is not None
    }
    values: Values = {}
    for section, keys in given.items():
        first = next(iter(keys), "") if isinstance(keys, Mapping) else ""
        values |= _sections({section: keys}, source(section, first))
    return values


def _sections(document: Mapping[str, Any], source: str) -> Values:
    """Check that `document` contains only known sections and keys."""
    values: Values = {}
    for section, keys in document.items():
        if section not in SECTIONS:
            raise InvalidSetting(_unknown_section(section, source))
        if not isinstance(keys, Mapping):
            message = f"{section}: is a section, not a value; give its keys ({source})"
            raise InvalidSetting(message)
        for key in keys:
            if key not in SECTIONS[section].model_fields:
                raise InvalidSetting(_unknown_key(section, key, source))
        values[section] = dict(keys)
    return values


def _from_environment(environment: Mapping[str, str]) -> Values:
    values: Values = {}
    for name, text in environment.items():
        if not name.upper().startswith(_PREFIX) or not text:
            continue
        _check_variable(name)
        section, _, key = name[len(_PREFIX) :].lower().partition("_")
        if section in SECTIONS:
            values.setdefault(section, {})[key] = _from_text(section, key, text)
    return values


def _from_text(section: str, key: str, text: str) -> Any:
    """Return the value of a variable; lists are JSON, or separated by commas."""
    alternative_types = alternatives(SECTIONS[section].model_fields[key].annotation)
    if not any(get_origin(each) is tuple for each in alternative_types):
        return EnvironmentText(text)
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return EnvironmentText(text)
    return [item.strip() for item in text.split(",") if item.strip()]


def _check_variable(name: str) -> None:
    """Reject a variable that looks like a misspelt setting; ignore those of other programs."""
    section, _, key = name[len(_PREFIX) :].lower().partition("_")
    source = f"environment variable {name}"
    if section in SECTIONS:
        if not key:
            message = f"{section}: is a section, not a setting ({source})"
            raise InvalidSetting(message)
        if key not in SECTIONS[section].model_fields:
            raise InvalidSetting(_unknown_key(section, key, source))
    elif key and closest(section, SECTIONS, cutoff=0.8):
        raise InvalidSetting(_unknown_section(section, source))


def _unknown_section(section: str, source: str) -> str:
    owners = [name for name in SECTIONS if section in SECTIONS[name].model_fields]
    if owners:
        return f"{section}: belongs into a section, such as [{owners[0]}] ({source})"
    near = did_you_mean(section, SECTIONS)
    return f"{section}: there is no such section{near} ({source})"


def _unknown_key(section: str, key: str, source: str) -> str:
    owners = [name for name in SECTIONS if key in SECTIONS[name].model_fields]
    known = SECTIONS[section].model_fields
    near = f"; did you mean {owners[0]}.{key}?" if owners else did_you_mean(key, known)
    return f"{section}.{key}: there is no such setting{near} ({source})"


def _explain(place: str, problem: Problem, origins: Origins) -> str:
    """Return the error line for one invalid value."""
    section, _, key = place.partition(".")
    text = problem.text
    if not key:
        given = [origin for (owner, name), origin in origins.items() if owner == section]
        return f"{section}: {text} ({', '.join(dict.fromkeys(given)) or 'default'})"
    if not problem.says_its_value and (section, key) not in _SECRET:
        text += f", not {_shown(problem.value)}"
    allowed = allowed_range(SECTIONS[section].model_fields[key])
    text += f"; allowed: {allowed}" if allowed else ""
    return f"{section}.{key}: {text} ({origins.get((section, key), 'default')})"


def _shown(value: Any) -> str:
    text = repr(str(value)) if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - one line of text


def _variable(section: str, key: str) -> str:
    return f"{_PREFIX}{section}_{key}".upper()
