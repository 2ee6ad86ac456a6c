r"""The payload of a trigger: JSON bytes, checked once when it is taken, and never changed after.

Bytes are taken as JSON text and kept byte for byte, whatever a parser would make of them: key
order, double keys, `1e400`, integers of any size, `\u0000` and lone surrogate escapes. Other
values are written compactly, in their own key order, by orjson, or by the standard library where
orjson cannot.
"""

from __future__ import annotations

import json
import math
import re
from datetime import date, datetime, time
from enum import Enum
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NoReturn
from uuid import UUID

import orjson

from delivery.errors import InvalidPayload

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DEEPEST_NESTING", "decode_payload", "encode_payload", "is_deep_json"]

DEEPEST_NESTING: Final = 200
"""Lists and objects within each other. Parsers of receivers allow from 64 (.NET) to 512 (PHP)."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
"""A string, or an unclosed one up to the end: so that a search never goes over it twice."""

_STRINGS: Final = re.compile(_STRING, re.DOTALL)
_STRING_OR_CONSTANT: Final = re.compile(_STRING + rb"|(-?(?:NaN|Infinity))", re.DOTALL)
_ONE_KIND_OF_BRACKET: Final = bytes.maketrans(b"{}", b"[]")
_STEPS: Final = {ord("["): 1, ord("]"): -1}
_PASSES: Final = 8
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def encode_payload(value: object, limit: int) -> bytes:
    """The bytes of a payload.

    Args:
        value: `bytes` or `bytearray`: JSON text, kept as it is. Anything else: a JSON value, made
            of dicts with str keys, lists, tuples, str, int, float, bool and None; also datetime,
            date, time and UUID, which become their ISO text, and enum members, which become their
            value. A str is a JSON string, not JSON text.
        limit: Bytes the payload may have.

    Raises:
        InvalidPayload: if it is not JSON (NaN and Infinity are not), nested deeper than
            `DEEPEST_NESTING`, or longer than `limit`. The text says where; it may name keys, but
            quotes no values.
    """
    if isinstance(value, (bytes, bytearray)):
        data = bytes(value)
        _check_size(data, limit)
        _check_text(data)
        return data
    data = _encode(value)
    _check_size(data, limit)
    _check_nesting(data)
    return data


def decode_payload(data: bytes) -> object:
    """The value of a payload that `encode_payload` gave, for conditions.

    Numbers beyond 64 bits may become floats, and those beyond a float infinity; of double keys the
    last one counts.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        text = data.decode()
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        return json.loads(text, parse_int=_integer)


def is_deep_json(data: bytes) -> bool:
    """Return whether this is JSON that is nested deeper than `DEEPEST_NESTING`."""
    try:
        _check_nesting(data)
    except InvalidPayload:
        try:
            orjson.loads(data)
        except orjson.JSONDecodeError:
            return False
        return True
    return False


def _integer(digits: str) -> int | float:
    # Python refuses to convert integers of more than some thousand digits.
    return int(digits) if len(digits) < 100 else float(digits)  # noqa: PLR2004


def _check_size(data: bytes, limit: int) -> None:
    if len(data) > limit:
        message = (
            f"the payload has {len(data):,} bytes; limits.max_payload_bytes allows {limit:,}:"
            " send a reference to the data, or raise the limit"
        )
        raise InvalidPayload(message)


def _check_text(data: bytes) -> None:
    _check_nesting(data)
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        # orjson refuses some numbers and escapes that are JSON; the standard library decides.
        _check_slowly(data)


def _check_slowly(data: bytes) -> None:
    if data.startswith(_BYTE_ORDER_MARK):
        message = "the payload starts with a byte order mark, which JSON does not allow; remove it"
        raise InvalidPayload(message)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        message = f"the payload is not UTF-8: byte {error.start} is not ({error.reason})"
        raise InvalidPayload(message) from None
    if not text.strip(" \t\r\n"):
        message = "the payload is empty; for JSON's null give b'null' or None"
        raise InvalidPayload(message)
    try:
        json.loads(text, parse_int=float, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        message = (
            f"the payload is not JSON: {error.msg[:1].lower()}{error.msg[1:]}"
            f" at line {error.lineno}, column {error.colno}"
        )
        raise InvalidPayload(message) from None
    except _ConstantError:
        raise InvalidPayload(_about_constant(data)) from None
    except RecursionError:
        # Only where the caller is itself nearly as deep as Python allows.
        message = "the payload is nested too deep for this point of the program"
        raise InvalidPayload(message) from None


class _ConstantError(Exception):
    """NaN, Infinity or -Infinity stands in a JSON text."""


def _refuse_constant(_name: str) -> NoReturn:
    raise _ConstantError


def _about_constant(data: bytes) -> str:
    found = next(match for match in _STRING_OR_CONSTANT.finditer(data) if match[1])
    return (
        f"the payload is not JSON: {found[1].decode()} at byte {found.start()} is no JSON number;"
        " send null or a string"
    )


def _check_nesting(data: bytes) -> None:
    if data.count(b"[") + data.count(b"{") <= DEEPEST_NESTING:
        return
    brackets = _STRINGS.sub(b"", data).translate(_ONE_KIND_OF_BRACKET, _NO_BRACKETS)
    for _ in range(_PASSES):
        # Each pass takes away the innermost level; few payloads have more than these.
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return
    if _PASSES + max(accumulate(map(_STEPS.__getitem__, brackets))) > DEEPEST_NESTING:
        message = f"the payload is nested deeper than {DEEPEST_NESTING} levels; send it flatter"
        raise InvalidPayload(message)


def _encode(value: object) -> bytes:
    try:
        data = orjson.dumps(value, option=orjson.OPT_PASSTHROUGH_DATACLASS)
    except TypeError:
        return _encode_slowly(value)
    # orjson writes NaN and Infinity as null.
    if b"null" in data:
        _check_values(value)
    return data


def _encode_slowly(value: object) -> bytes:
    _check_values(value)
    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
        )
    except (RecursionError, TypeError, ValueError) as error:
        message = f"the payload cannot be written as JSON: {error}"
        raise InvalidPayload(message) from None
    # A lone surrogate has no UTF-8, but the escape that this writes for it is JSON.
    return text.encode("utf-8", "backslashreplace")


def _plain(value: object) -> object:
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    message = f"{type(value).__name__} is not a JSON type"
    raise TypeError(message)


def _check_values(value: object) -> None:
    waiting: list[tuple[object, str, int]] = [(value, "", 0)]
    while waiting:
        item, path, depth = waiting.pop()
        if isinstance(item, Enum):
            item = item.value
        if depth > DEEPEST_NESTING:
            message = (
                f"the payload is nested deeper than {DEEPEST_NESTING} levels, or contains itself"
            )
            raise InvalidPayload(message)
        if isinstance(item, float):
            if not math.isfinite(item):
                message = f"the payload has {item} {_at(path)}; send null or a string"
                raise InvalidPayload(message)
        elif isinstance(item, (dict, list, tuple)):
            waiting += [(child, path + step, depth + 1) for step, child in _children(item, path)]
        elif not _is_scalar(item):
            message = (
                f"the payload has a {type(item).__name__} {_at(path)}, which JSON does not have;"
                " convert it to a str, number, list or dict"
            )
            raise InvalidPayload(message)


def _children(
    item: dict[object, object] | list[object] | tuple[object, ...], path: str
) -> Iterator[tuple[str, object]]:
    if not isinstance(item, dict):
        yield from ((f"[{index}]", child) for index, child in enumerate(item))
        return
    for key, child in item.items():
        if not isinstance(key, str):
            message = (
                f"the payload has a key of type {type(key).__name__} {_at(path)};"
                " JSON's keys are strings"
            )
            raise InvalidPayload(message)
        yield f".{key}", child


def _is_scalar(item: object) -> bool:
    return item is None or isinstance(item, (str, int, datetime, date, time, UUID))


def _at(path: str) -> str:
    # ASCII, because the message may go where a lone surrogate cannot.
    shown = path.encode("ascii", "backslashreplace").decode()
    return f"at {shown[:200]}" if shown else "at its top"
