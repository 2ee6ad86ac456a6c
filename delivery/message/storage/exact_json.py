"""Decoding and encoding of JSON that preserves the digits of numbers and the order of keys.

A number that is copied between documents must not change: 1.10 remains 1.10, and integers and
decimals of any length retain all digits.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Final, TypeAlias

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["ExactValue", "Number", "decode_exactly", "encode_exactly", "kind_of"]


class Number(str):
    """JSON number with its original digits."""

    __slots__ = ()


ExactValue: TypeAlias = (
    "bool | int | Number | str | list[ExactValue] | dict[str, ExactValue] | None"
)
"""Decoded value. Integers can be `int`, which also has all digits."""

_WORDS: Final = {True: "true", False: "false", None: "null"}
_DECODER: Final = json.JSONDecoder(parse_float=Number)
_SLOW_DECODER: Final = json.JSONDecoder(parse_int=Number, parse_float=Number)
_MINUS_ZERO: Final = re.compile(r"-0(?![0-9.eE])")


def decode_exactly(text: bytes) -> ExactValue:
    """Decode a valid JSON text; the last of duplicate keys counts."""
    decoded = text.decode("utf-8")
    value: ExactValue
    if _MINUS_ZERO.search(decoded) is None:
        try:
            value = _DECODER.decode(decoded)
        except json.JSONDecodeError:
            raise
        except ValueError:
            # Python does not convert integers of more than a few thousand digits.
            value = _SLOW_DECODER.decode(decoded)
    else:
        value = _SLOW_DECODER.decode(decoded)
    return value


def encode_exactly(value: ExactValue) -> str:
    """Encode a value as compact JSON, with lone surrogates as escapes."""
    try:
        data = orjson.dumps(value, _as_written, orjson.OPT_PASSTHROUGH_SUBCLASS)
    except TypeError:
        # Lone surrogates or integers of more than 64 bits.
        return _encode_slowly(value)
    return data.decode()


def _as_written(value: object) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(str(value))
    raise TypeError


def _encode_slowly(value: ExactValue) -> str:
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts).encode("utf-8", "backslashreplace").decode("utf-8")


def kind_of(value: object) -> str:
    """Return the JSON type of a value, with an article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float, Number)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"


def _write(value: ExactValue, parts: list[str]) -> None:
    if isinstance(value, list):
        _write_all("[]", value, None, parts)
    elif isinstance(value, dict):
        _write_all("{}", value.values(), iter(value), parts)
    else:
        parts.append(_scalar(value))


def _scalar(value: bool | int | str | None) -> str:  # noqa: FBT001 - a JSON value
    if value is None or isinstance(value, bool):
        return _WORDS[value]
    if isinstance(value, (int, Number)):
        return str(value)
    return encode_basestring(value)


def _write_all(
    brackets: str, items: Iterable[ExactValue], keys: Iterator[str] | None, parts: list[str]
) -> None:
    parts.append(brackets[0])
    comma = ""
    for item in items:
        name = "" if keys is None else f"{encode_basestring(next(keys))}:"
        if isinstance(item, (list, dict)):
            parts.append(f"{comma}{name}")
            _write(item, parts)
        else:
            parts.append(f"{comma}{name}{_scalar(item)}")
        comma = ","
    parts.append(brackets[1])
