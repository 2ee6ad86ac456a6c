"""JSON representation of models, for the command line and applications. Pure.

Ids are strings, and times are ISO 8601 in UTC. Signing secrets, private keys and values that look
secret in headers, URL and body are `***`. Payloads are unchanged, including numbers of 400 digits.
"""

from __future__ import annotations

import codecs
import dataclasses
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import singledispatch
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson

from delivery.models import (
    HttpMessage,
    HttpParams,
    Page,
    RequestPreview,
    SigningSecret,
    Trigger,
)

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["dump_json", "escape_controls", "indent_json", "iso_time", "to_json", "writes_utf8"]

_LEXEME: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_BRACKETS: Final = {"{": "}", "[": "]"}
_FORMATTING: Final = "\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069"
_CONTROL: Final = re.compile(f"[\\x00-\\x08\\x0b-\\x1f{_FORMATTING}\\ud800-\\udfff]")
"""Characters that control a terminal or change the order of text, except tab and newline, and
surrogates, which cannot be encoded."""
_RAW_IN_JSON: Final = re.compile(f"[{_FORMATTING}]")
"""The subset of these characters that JSON allows unescaped in strings."""
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7e]")


@singledispatch
def to_json(value: Any) -> Any:
    """Convert a model, or a container of models, to values for `dump_json`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): to_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(each) for each in value]
    return value


@to_json.register
def _(value: UUID) -> str:
    return str(value)


@to_json.register
def _(value: datetime) -> str:
    return iso_time(value)


@to_json.register
def _(value: Enum) -> Any:
    return value.value


@to_json.register
def _(value: SigningSecret) -> dict[str, Any]:
    return {
        "kind": value.kind.value,
        "public_key": value.public_key,
        "expires_at": to_json(value.expires_at),
    }


@to_json.register
def _(value: HttpParams) -> dict[str, Any]:
    # Imported here because most commands print no HTTP requests of reactions.
    from delivery.message.redaction.calls import redact_call  # noqa: PLC0415

    redacted = redact_call(value)
    fields = {field.name: getattr(redacted, field.name) for field in dataclasses.fields(value)}
    fields["status_actions"] = dict(value.status_actions)
    return {key: to_json(each) for key, each in fields.items()}


@to_json.register
def _(value: Trigger) -> dict[str, Any]:
    return {
        "id": str(value.id),
        "tenant_id": value.tenant_id,
        "type": value.type,
        # In JSON, line breaks occur only between values. Without them, the object is one line.
        "payload": orjson.Fragment(value.payload.replace(b"\r", b" ").replace(b"\n", b" ")),
        "created_at": iso_time(value.created_at),
        "jobs": [str(job) for job in value.jobs],
    }


@to_json.register
def _(value: HttpMessage) -> dict[str, Any]:
    return {
        "headers": [list(pair) for pair in value.headers],
        **_body(value.body),
        "body_size": value.body_size,
        "truncated": value.truncated,
    }


@to_json.register
def _(value: RequestPreview) -> dict[str, Any]:
    return {
        "method": value.method,
        "url": value.url,
        "headers": [list(pair) for pair in value.headers],
        **_body(value.body),
        "body_size": value.body_size,
    }


def _body(data: bytes) -> dict[str, str]:
    try:
        return {"body": data.decode(), "body_encoding": "utf-8"}
    except UnicodeDecodeError:
        return {"body": b64encode(data).decode(), "body_encoding": "base64"}


@to_json.register
def _(value: Page) -> dict[str, Any]:  # type: ignore[type-arg]
    return {"items": [to_json(each) for each in value.items], "next_cursor": value.next_cursor}


def iso_time(value: datetime) -> str:
    """Format a time in ISO 8601 and UTC, such as `2026-03-01T12:00:00.000001Z`."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def dump_json(value: Any, *, ascii_only: bool = False) -> str:
    """Write a result of `to_json` as one line of JSON.

    Control characters are escaped, so that none reaches a terminal. A lone surrogate, which UTF-8
    cannot encode, becomes U+FFFD.

    Args:
        value: JSON value.
        ascii_only: Escape all characters outside ASCII, for streams that are not UTF-8.
    """
    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        text = orjson.dumps(_without_surrogates(value)).decode()
    return (_NOT_ASCII if ascii_only else _RAW_IN_JSON).sub(_json_escape, text)


def writes_utf8(stream: TextIO) -> bool:
    """Return whether a stream is encoded in UTF-8."""
    try:
        return codecs.lookup(stream.encoding or "utf-8").name == "utf-8"
    except LookupError:
        return False


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, Mapping):
        return {_without_surrogates(key): _without_surrogates(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_surrogates(each) for each in value]
    return value


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def indent_json(data: bytes | str) -> str | None:
    """Indent JSON without changing numbers and strings. Return None if it is not JSON."""
    try:
        text = data if isinstance(data, str) else data.decode()
        json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return None
    parts: list[str] = []
    depth = 0
    lexemes = _LEXEME.findall(text)
    for index, lexeme in enumerate(lexemes):
        following = lexemes[index + 1] if index + 1 < len(lexemes) else ""
        if lexeme in _BRACKETS:
            empty = following == _BRACKETS[lexeme]
            depth += 0 if empty else 1
            parts.append(lexeme if empty else lexeme + "\n" + "  " * depth)
        elif lexeme == ",":
            parts.append(",\n" + "  " * depth)
        elif lexeme == ":":
            parts.append(": ")
        else:
            parts.append(lexeme)
        if following in {"}", "]"} and lexeme not in _BRACKETS:
            depth -= 1
            parts.append("\n" + "  " * depth)
    return "".join(parts)


def escape_controls(text: str) -> str:
    """Escape control characters for display in a terminal."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)
