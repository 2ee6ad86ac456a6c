"""Redaction of calls, and restoration of redacted values.

The redacted values of a call are stored separately, encrypted. A client can read a redacted call,
change a part and send it back. Then `***` stands for the stored value. If there is none, the call
is rejected, because `***` must never be sent.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import orjson

from delivery.errors import InvalidReaction
from delivery.message.redaction.bodies import redact_text
from delivery.message.redaction.by_name import (
    REDACTED,
    is_secret_header,
    is_secret_key,
    is_secret_query_key,
    may_be_secret,
    redact_headers,
    redact_query,
    redact_url,
)
from delivery.message.redaction.scrubber import Scrubber, secrets_in_call

if TYPE_CHECKING:
    from delivery.models import Body, HttpParams, TlsOptions

__all__ = ["redact_call", "refuse_marks", "restore", "restore_tls", "secret_parts"]

_PROBE: Final = "0-no-mark-0"

Pairs = tuple[tuple[str, str], ...]


def redact_call(params: HttpParams) -> HttpParams:
    """Replace the secrets of a call, and values that look secret, by `***`."""
    url = redact_url(params.url)
    headers = tuple((name, redact_text(value)) for name, value in redact_headers(params.headers))
    query = tuple((key, _redacted_pair(key, value)) for key, value in params.query)
    body = _redacted_body(params.body)
    scrubber = Scrubber(secrets_in_call(params))
    if scrubber:
        # A secret of one part can occur in another part without a secret name.
        url = scrubber.scrub_text(url)
        headers = tuple((name, scrubber.scrub_text(value)) for name, value in headers)
        query = tuple((name, scrubber.scrub_text(value)) for name, value in query)
        body = replace(body, content=_scrubbed(body.content, scrubber))
    return replace(
        params,
        url=url,
        headers=headers,
        query=query,
        body=body,
        tls=params.tls
        if params.tls.client_key is None
        else replace(params.tls, client_key=REDACTED),
        secrets=(REDACTED,) * len(params.secrets),
    )


def secret_parts(params: HttpParams) -> dict[str, Any]:
    """Return the parts of a call that can contain secrets, as JSON values."""
    return {
        "url": params.url,
        "headers": [list(pair) for pair in params.headers],
        "query": [list(pair) for pair in params.query],
        "content": params.body.content,
        "client_key": params.tls.client_key,
        "secrets": list(params.secrets),
    }


def restore(given: HttpParams, current: HttpParams) -> HttpParams:
    """Replace each `***` of the given call by the value of the current call, where it has one."""
    redacted = redact_call(current)
    body = given.body
    if body.kind is current.body.kind:
        content = _restored(body.content, redacted.body.content, current.body.content)
        body = replace(body, content=content)
    return replace(
        given,
        url=current.url if given.url == redacted.url else given.url,
        headers=_restored_pairs(given.headers, redacted.headers, current.headers),
        query=_restored_pairs(given.query, redacted.query, current.query),
        body=body,
        tls=restore_tls(given.tls, current.tls),
    )


def restore_tls(given: TlsOptions, current: TlsOptions) -> TlsOptions:
    """Replace a client key `***` by the current key."""
    if given.client_key != REDACTED or current.client_key is None:
        return given
    return replace(given, client_key=current.client_key)


def refuse_marks(params: HttpParams) -> None:
    """Reject a call that has `***` in place of a secret.

    Raises:
        InvalidReaction: if it has one; the message names the part of the call.
    """
    place = None
    for name, value in params.headers:
        if (value == REDACTED and is_secret_header(name)) or _has_mark_in_text(value):
            place = f"the value of header {name}"
    _, *rest = re.split(r"[?#]", params.url)
    for key, value in (*params.query, *_pairs_of("&".join(rest))):
        if (value == REDACTED and is_secret_query_key(key)) or _has_mark_in_text(value):
            place = f"the value of {key} in the query"
    if _has_mark(params.body):
        place = "a value in the body"
    if params.tls.client_key == REDACTED:
        place = "the TLS client_key"
    if place is not None:
        message = f"{place} is {REDACTED}, which replaces a secret; give the secret itself"
        raise InvalidReaction(message)


def _redacted_pair(key: str, value: str) -> str:
    is_secret = is_secret_query_key(key) and may_be_secret(key, value)
    return REDACTED if is_secret else redact_text(value)


def _redacted_body(body: Body) -> Body:
    value = None if _is_form_text(body) else _value_of(body)
    if _is_form_text(body):
        redacted: Any = redact_query(f"?{body.content}")[1:]
    elif value is None and isinstance(body.content, str):
        redacted = redact_text(body.content)
    else:
        redacted = _redacted_value(value)
        if redacted == value:
            return body
        if isinstance(body.content, str):
            redacted = orjson.dumps(redacted).decode()
    return replace(body, content=redacted)


def _scrubbed(value: Any, scrubber: Scrubber) -> Any:
    if isinstance(value, str):
        return scrubber.scrub_text(value)
    if isinstance(value, dict):
        return {key: _scrubbed(each, scrubber) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_scrubbed(each, scrubber) for each in value]
    return value


def _redacted_value(value: Any) -> Any:
    """Redact the values under secret keys of a JSON value."""
    if isinstance(value, dict):
        return {
            key: REDACTED
            if _is_secret_key(key) and may_be_secret(key, each)
            else _redacted_value(each)
            for key, each in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_redacted_value(each) for each in value]
    return redact_text(value) if isinstance(value, str) else value


def _has_mark(body: Body) -> bool:
    """Return True if `***` is at a position where `_redacted_body` puts it."""
    if _is_form_text(body):
        pairs = _pairs_of(body.content)
        return any(value == REDACTED and is_secret_query_key(key) for key, value in pairs)
    value = _value_of(body)
    if value is None and isinstance(body.content, str):
        return _has_mark_in_text(body.content)
    return _has_mark_within(value)


def _has_mark_in_text(text: str) -> bool:
    """Return True if a string, such as a URL, has `***` where `redact_text` puts it."""
    if REDACTED not in text:
        return False
    unmarked = text.replace(REDACTED, _PROBE)
    return redact_text(unmarked).count(_PROBE) < unmarked.count(_PROBE)


def _has_mark_within(value: Any) -> bool:
    if isinstance(value, dict):
        return any(
            (each == REDACTED and _is_secret_key(key)) or _has_mark_within(each)
            for key, each in value.items()
        )
    if isinstance(value, str):
        return _has_mark_in_text(value)
    return isinstance(value, (list, tuple)) and any(_has_mark_within(each) for each in value)


def _is_form_text(body: Body) -> bool:
    return isinstance(body.content, str) and "form-urlencoded" in (body.content_type or "")


def _value_of(body: Body) -> Any:
    """Return the JSON value of a body; None for text that is not JSON."""
    if not isinstance(body.content, str):
        return body.content
    if body.content.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        return orjson.loads(body.content)
    except orjson.JSONDecodeError:
        return None


def _pairs_of(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query.replace(";", "&"), keep_blank_values=True)


def _is_secret_key(key: object) -> bool:
    return isinstance(key, str) and is_secret_key(key)


def _restored(given: Any, redacted: Any, current: Any) -> Any:
    if given == redacted:
        return current
    if isinstance(given, dict) and isinstance(redacted, dict):
        return {
            key: _restored(value, redacted[key], current[key]) if key in redacted else value
            for key, value in given.items()
        }
    if isinstance(given, list) and isinstance(redacted, list) and len(given) == len(redacted):
        return [_restored(*each) for each in zip(given, redacted, current, strict=True)]
    return given


def _restored_pairs(given: Pairs, redacted: Pairs, current: Pairs) -> Pairs:
    """Restore `***` from the value with the same name and the same position under it."""
    values: dict[tuple[str, int], tuple[str, str]] = {}
    count: Counter[str] = Counter()
    for (name, value), (_, redacted_value) in zip(current, redacted, strict=True):
        values[name.lower(), count[name.lower()]] = (redacted_value, value)
        count[name.lower()] += 1
    restored: list[tuple[str, str]] = []
    count.clear()
    for name, value in given:
        place = (name.lower(), count[name.lower()])
        count[name.lower()] += 1
        redacted_value, real = values.get(place, (value, value))
        restored.append((name, real if value == redacted_value else value))
    return tuple(restored)
