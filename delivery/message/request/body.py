"""Encoding of a request's body, by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

import orjson

from delivery.errors import InvalidReaction
from delivery.message.request.payload import DEEPEST_NESTING, encode_payload, is_deep_json
from delivery.models import Body, BodyKind

__all__ = ["content_type_of", "encode_envelope", "encode_fixed", "form_text"]

_CONTENT_TYPES: Final = {
    BodyKind.PAYLOAD: "application/json",
    BodyKind.ENVELOPE: "application/json",
    BodyKind.JSON: "application/json",
    BodyKind.FORM: "application/x-www-form-urlencoded",
    BodyKind.RAW: "text/plain; charset=utf-8",
}

_NO_LIMIT: Final = 1 << 62
_LONE_SURROGATE: Final = "the body has a lone surrogate, which UTF-8 cannot encode; remove it"


def content_type_of(body: Body) -> str | None:
    """Return the given Content-Type of a body, or the default of its kind; None: no body."""
    if body.kind is BodyKind.NONE:
        return None
    return body.content_type or _CONTENT_TYPES[body.kind]


def encode_envelope(event_type: str, created_at: float, payload: bytes) -> bytes:
    """Return `{"type", "timestamp", "data"}` with the unchanged bytes of the payload as `data`.

    The timestamp is `created_at` (seconds since the epoch) in UTC, such as
    `2026-01-02T03:04:05.678901Z`.
    """
    instant = datetime.fromtimestamp(created_at, UTC)
    stamp = instant.isoformat(timespec="microseconds").removesuffix("+00:00")
    return b'{"type":%b,"timestamp":"%bZ","data":%b}' % (
        orjson.dumps(event_type),
        stamp.encode(),
        payload,
    )


def encode_fixed(body: Body, limit: int = _NO_LIMIT) -> bytes:
    """Encode a body that is the same for every message: kinds json, form, raw and none.

    Raises:
        InvalidReaction: if the content does not fit the kind, or is longer than `limit` bytes.
    """
    if body.kind is BodyKind.JSON:
        data = _encode_json(body.content)
    elif body.kind is BodyKind.FORM:
        data = _encode_form(body.content)
    elif body.kind is BodyKind.RAW:
        data = _encode_raw(body.content)
    elif body.content is not None:
        message = (
            f'a body of kind "{body.kind}" takes no content; leave it out, or choose another kind'
        )
        raise InvalidReaction(message)
    else:
        data = b""
    if len(data) > limit:
        message = f"the body has {len(data):,} bytes; at most {limit:,} are allowed"
        raise InvalidReaction(message)
    return data


def _encode_json(content: object) -> bytes:
    if isinstance(content, (bytes, bytearray)):
        message = 'the content of a "json" body must be a JSON value, not encoded JSON; decode it'
        raise InvalidReaction(message)
    try:
        data = encode_payload(content, _NO_LIMIT)
    except ValueError as error:
        reason = str(error).replace("the payload", "it", 1)
        message = f'the content of the "json" body is invalid: {reason}'
        raise InvalidReaction(message) from None
    try:
        # orjson encodes the stored call.
        orjson.dumps(content)
    except TypeError as error:
        message = f'the content of the "json" body cannot be stored: {error}; use a "raw" body'
        raise InvalidReaction(message) from None
    return data


def _encode_form(content: object) -> bytes:
    if not isinstance(content, Mapping):
        message = f'the content of a "form" body must be a mapping, not {_kind(content)}'
        raise InvalidReaction(message)
    fields: list[tuple[str, str]] = []
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, (str, int, float)):
            message = (
                f'the value of field {name!r} of the "form" body is {_kind(value)};'
                " names must be strings, and values strings, numbers or booleans"
            )
            raise InvalidReaction(message)
        fields.append((name, form_text(value)))
    try:
        return urlencode(fields).encode()
    except UnicodeEncodeError:
        raise InvalidReaction(_LONE_SURROGATE) from None


def form_text(value: str | float) -> str:
    """Return the value of a form field as a string."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _encode_raw(content: object) -> bytes:
    if not isinstance(content, str):
        message = f'the content of a "raw" body must be a string, not {_kind(content)}'
        raise InvalidReaction(message)
    try:
        data = content.encode()
    except UnicodeEncodeError:
        raise InvalidReaction(_LONE_SURROGATE) from None
    if content.lstrip()[:1] in {"{", "["} and is_deep_json(data):
        message = f"the body is JSON nested deeper than {DEEPEST_NESTING} levels; flatten it"
        raise InvalidReaction(message)
    return data


def _kind(value: object) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
