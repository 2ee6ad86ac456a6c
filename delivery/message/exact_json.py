"""JSON values that keep what they were written as: numbers as text, keys in their order.

A number taken out of one document and put into another must not change on the way: 1.10 stays 1.10,
and integers and decimals of any length keep every digit.
"""

from __future__ import annotations

import json
import re
from json.encoder import encode_basestring
from typing import Final, TypeAlias

import orjson

__all__ = ["ExactValue", "Number", "decode_exactly", "encode_exactly", "kind_of"]


class Number(str):
    """A JSON number, as it was written."""

    __slots__ = ()


ExactValue: TypeAlias = (
    "bool | int | Number | str | list[ExactValue] | dict[str, ExactValue] | None"
)
"""A decoded value; an integer may be an `int`, which has all its digits too."""

_WORDS: Final = {True: "true", False: "false", None: "null"}
_DECODER: Final = json.JSONDecoder(parse_float=Number)
_SLOW_DECODER: Final = json.JSONDecoder(parse_int=Number, parse_float=Number)
_MINUS_ZERO: Final = re.compile(r"-0(?![0-9.eE])")


def decode_exactly(text: bytes) -> ExactValue:
    """The value of a JSON text that is known to be one; of double keys the last one counts."""
    decoded = text.decode("utf-8")
    value: ExactValue
    if _MINUS_ZERO.search(decoded) is None:
        try:
            value = _DECODER.decode(decoded)
        except json.JSONDecodeError:
            raise
        except ValueError:
            # Python refuses to convert integers of more than some thousand digits.
            value = _SLOW_DECODER.decode(decoded)
    else:
        value = _SLOW_DECODER.decode(decoded)
    return value


def encode_exactly(value: ExactValue) -> str:
    """The value as compact JSON text; what has no UTF-8 (lone surrogates) is escaped."""
    try:
        data = orjson.dumps(value, _as_written, orjson.OPT_PASSTHROUGH_SUBCLASS)
    except TypeError:
        # Lone surrogates, and integers of more than 64 bits.
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
    """What the value is, in JSON's words, with an article."""
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
    if value is None or isinstance(value, bool):
        parts.append(_WORDS[value])
    elif isinstance(value, (int, Number)):
        parts.append(str(value))
    elif isinstance(value, str):
        parts.append(encode_basestring(value))
    elif isinstance(value, list):
        _write_all("[]", [(None, item) for item in value], parts)
    else:
        _write_all("{}", list(value.items()), parts)


def _write_all(brackets: str, items: list[tuple[str | None, ExactValue]], parts: list[str]) -> None:
    parts.append(brackets[0])
    for index, (key, item) in enumerate(items):
        if index:
            parts.append(",")
        if key is not None:
            parts.append(f"{encode_basestring(key)}:")
        _write(item, parts)
    parts.append(brackets[1])
