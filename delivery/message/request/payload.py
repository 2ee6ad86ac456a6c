r"""Validation, encoding and decoding of payloads: JSON bytes that never change after validation.

Given bytes are JSON text and stay unchanged, including key order, duplicate keys, `1e400`, integers
of any size, `\u0000` and lone surrogate escapes. Other values are encoded compactly in their key
order, by orjson, or by the standard library for values that orjson does not support.
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
"""Maximum nesting of lists and objects. Parsers of receivers allow from 64 (.NET) to 512 (PHP)."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'
"""A string, or an unclosed string up to the end, so that a search reads each byte once."""

_STRINGS: Final = re.compile(_STRING, re.DOTALL)
_STRING_OR_CONSTANT: Final = re.compile(_STRING + rb"|(-?(?:NaN|Infinity))", re.DOTALL)
_ONE_KIND_OF_BRACKET: Final = bytes.maketrans(b"{}", b"[]")
_STEPS: Final = {ord("["): 1, ord("]"): -1}
_PASSES: Final = 8
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def encode_payload(value: object, limit: int) -> bytes:
    """Validate a payload and return its bytes.

    Args:
        value: JSON text as `bytes` or `bytearray`, which stays unchanged. Or a JSON value of dicts
            with str keys, lists, tuples, str, int, float, bool and None. It can also contain
            datetime, date, time and UUID, which become ISO strings, and enum members, which become
            their values. A str is a JSON string, not JSON text.
        limit: Maximum size in bytes.

    Raises:
        InvalidPayload: if it is not JSON (NaN and Infinity are not), nested deeper than
            `DEEPEST_NESTING`, or longer than `limit`. The message gives the position. It can
            contain keys, but no values.
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
    """Decode a payload that `encode_payload` returned, for conditions.

    Numbers beyond 64 bits can become floats, or infinity if a float cannot hold them. The last of
    duplicate keys counts.
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
    """Return True if this is JSON nested deeper than `DEEPEST_NESTING`."""
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
    # Python does not convert integers of more than a few thousand digits.
    return int(digits) if len(digits) < 100 else float(digits)  # noqa: PLR2004


def _check_size(data: bytes, limit: int) -> None:
    if len(data) > limit:
        message = (
            f"the payload has {len(data):,} bytes; limits.max_payload_bytes allows {limit:,};"
            " send a reference to the data, or raise the limit"
        )
        raise InvalidPayload(message)


def _check_text(data: bytes) -> None:
    _check_nesting(data)
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        # orjson rejects some valid numbers and escapes; the standard library accepts them.
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
        message = "the payload is empty; to send null, give b'null' or None"
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
        # Happens only if the caller's stack is nearly as deep as Python allows.
        message = "the payload is too deeply nested for the present depth of the call stack"
        raise InvalidPayload(message) from None


class _ConstantError(Exception):
    """NaN, Infinity or -Infinity in a JSON text."""


def _refuse_constant(_name: str) -> NoReturn:
    raise _ConstantError


def _about_constant(data: bytes) -> str:
    found = next(match for match in _STRING_OR_CONSTANT.finditer(data) if match[1])
    return (
        f"the payload is not JSON: {found[1].decode()} at byte {found.start()} is not a JSON"
        " number; send null or a string"
    )


def _check_nesting(data: bytes) -> None:
    if data.count(b"[") + data.count(b"{") <= DEEPEST_NESTING:
        return
    brackets = _STRINGS.sub(b"", data).translate(_ONE_KIND_OF_BRACKET, _NO_BRACKETS)
    for _ in range(_PASSES):
        # Each pass removes the innermost level; few payloads have more levels.
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return
    if _PASSES + max(accumulate(map(_STEPS.__getitem__, brackets))) > DEEPEST_NESTING:
        message = f"the payload is nested deeper than {DEEPEST_NESTING} levels; flatten it"
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
        message = f"the payload cannot be encoded as JSON: {error}"
        raise InvalidPayload(message) from None
    # UTF-8 cannot encode a lone surrogate, but its escape is valid JSON.
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
                f"the payload has a {type(item).__name__} {_at(path)}, which is not a JSON type;"
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
                " use strings as keys"
            )
            raise InvalidPayload(message)
        yield f".{key}", child


def _is_scalar(item: object) -> bool:
    return item is None or isinstance(item, (str, int, datetime, date, time, UUID))


def _at(path: str) -> str:
    # ASCII, because the output of the message may not accept a lone surrogate.
    text = path.encode("ascii", "backslashreplace").decode()
    return f"at {text[:200]}" if text else "at the top level"
