"""Validation of a call, except its URL and PEM texts."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from delivery.errors import InvalidReaction
from delivery.message.request.body import encode_fixed
from delivery.message.request.url import LONGEST_URL, quote_value
from delivery.message.signing import parse_secret
from delivery.message.template.filling import compile_call
from delivery.message.template.parsing import has_placeholders
from delivery.models import Body, BodyKind, HttpParams, TlsOptions
from delivery.policy.outcome import validate_status_actions
from delivery.policy.retry import validate_policy
from delivery.wording import plain_number

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["METHODS", "validate_params"]

METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")

_LONGEST_TIMEOUT: Final = 300.0
_MOST_CONCURRENT: Final = 10_000
_MOST_REDIRECTS: Final = 3
_MOST_SECRETS: Final = 10
_MOST_HEADERS: Final = 100
_LONGEST_NAME: Final = 256
_LONGEST_VALUE: Final = 8_192
_LARGEST_BODY: Final = 1_048_576

_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110, 5.6.2."""

_NO_LETTER_OR_DIGIT: Final = re.compile(r"[^0-9a-z]")

_FORBIDDEN_IN_VALUE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_RESERVED: Final = {
    "connection": "the engine manages connections",
    "content-length": "the engine sets the length of the body",
    "expect": "the engine sends the body immediately",
    "host": "the engine takes it from the url",
    "http2-settings": "the engine manages connections",
    "keep-alive": "the engine manages connections",
    "proxy-connection": "the engine manages connections",
    "te": "the engine manages connections",
    "trailer": "the engine sends the body in one piece",
    "transfer-encoding": "the engine sends the body in one piece",
    "upgrade": "the engine manages connections",
}

_NOT_REPEATABLE: Final = frozenset({"accept", "accept-encoding", "content-type", "user-agent"})


def validate_params(params: HttpParams) -> HttpParams:
    """Return the call in canonical form: method in capitals, header values trimmed.

    `delivery.message.request.url.parse_url` validates the URL, the transport the PEM texts.

    Raises:
        InvalidReaction: if a field is invalid; the message gives the valid values.
        InvalidSecret: if a signing secret is invalid.
    """
    method = params.method.upper()
    if method not in METHODS:
        message = f"method is {params.method[:40]!r}, but must be one of {', '.join(METHODS)}"
        raise InvalidReaction(message)
    headers = _checked_headers(params.headers)
    query = _checked_query(params.query)
    _check_storable("the body", params.body.content)
    _check_body(params.body, {_folded(name) for name, _ in headers})
    _check_seconds("timeout", params.timeout)
    _check_seconds("connect_timeout", params.connect_timeout)
    _check_concurrency(params.concurrency)
    _check_ordered(params.ordered, params.concurrency)
    _check_live(params.live)
    if params.compression is not None and any(
        _folded(name) == "content-encoding" for name, _ in headers
    ):
        message = "compression already sets Content-Encoding; leave out one of the two"
        raise InvalidReaction(message)
    _check_redirects(params.redirects)
    compile_call(params)
    _check_secrets(params.secrets)
    _check_tls(params.tls)
    return dataclasses.replace(
        params,
        method=method,
        headers=headers,
        query=query,
        retry=validate_policy(params.retry),
        status_actions=validate_status_actions(params.status_actions),
        secrets=tuple(params.secrets),
    )


def _checked_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    checked: list[tuple[str, str]] = []
    seen: set[str] = set()
    for name, value in headers:
        _check_name(name)
        checked.append((name, _checked_value(name, value)))
        folded = _folded(name)
        if folded in seen and folded in _NOT_REPEATABLE:
            message = f"the header {name} is given twice; give it once"
            raise InvalidReaction(message)
        seen.add(folded)
    if len(checked) > _MOST_HEADERS:
        message = f"there are {len(checked)} headers; at most {_MOST_HEADERS} are allowed"
        raise InvalidReaction(message)
    return tuple(checked)


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _TOKEN.fullmatch(name) or len(name) > _LONGEST_NAME:
        message = (
            f"{ascii(name)[:80]} is not a header name; use up to {_LONGEST_NAME}"
            " letters, digits, - and _"
        )
        raise InvalidReaction(message)
    folded = _folded(name)
    reason = _RESERVED.get(folded)
    if reason is None and folded.startswith("webhook-"):
        reason = "names with the prefix webhook- are reserved for the signature"
    if reason is not None and folded != name.lower():
        reason = f"many servers read it as {folded}, and {reason}"
    if reason is not None:
        message = f"the header {name} cannot be set: {reason}; leave it out"
        raise InvalidReaction(message)


def _folded(name: str) -> str:
    """Return the name of a header as servers with CGI variables see it.

    CGI and WSGI replace all characters except letters and digits by underscores (RFC 3875,
    4.1.18), so `Content_Length` becomes the same variable as `Content-Length`.
    """
    return _NO_LETTER_OR_DIGIT.sub("-", name.lower())


def _checked_value(name: str, value: object) -> str:
    # No message quotes the value, because it can be a credential.
    if not isinstance(value, str):
        message = f"the value of header {name} is a {type(value).__name__}, but must be a string"
        raise InvalidReaction(message)
    found = _FORBIDDEN_IN_VALUE.search(value)
    if found is not None:
        message = (
            f"the value of header {name} has a line break or control character"
            f" ({found[0]!a}) at position {found.start()}; remove it"
        )
        raise InvalidReaction(message)
    foreign = next((index for index, mark in enumerate(value) if ord(mark) > 0xFF), None)  # noqa: PLR2004
    if foreign is not None:
        message = (
            f"the value of header {name} has a character at position {foreign} that is not in"
            " ISO 8859-1, the character set of headers; encode it, for example as base64"
        )
        raise InvalidReaction(message)
    if len(value) > _LONGEST_VALUE:
        message = (
            f"the value of header {name} has {len(value)} characters;"
            f" at most {_LONGEST_VALUE} are allowed"
        )
        raise InvalidReaction(message)
    return value.strip(" \t")


def _checked_query(query: Iterable[tuple[object, object]]) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    length = 0
    for name, value in query:
        if not isinstance(name, str) or not name or not isinstance(value, str):
            message = (
                "the names and values of query must be strings, and names must not be empty;"
                f" correct {str(name)[:80]!r}"
            )
            raise InvalidReaction(message)
        try:
            (name + value).encode()
        except UnicodeEncodeError:
            message = f"query: {name[:80]!a} has a lone surrogate, which UTF-8 cannot encode"
            raise InvalidReaction(message) from None
        _check_storable("query", (name, value))
        pairs.append((name, value))
        length += len(quote_value(name))
        length += 0 if has_placeholders(value) else len(quote_value(value))
    if length > LONGEST_URL:
        message = f"query has {length:,} characters; at most {LONGEST_URL:,} are allowed"
        raise InvalidReaction(message)
    if len(pairs) > _MOST_HEADERS:
        message = f"query has {len(pairs)} entries; at most {_MOST_HEADERS} are allowed"
        raise InvalidReaction(message)
    return tuple(pairs)


def _check_storable(where: str, value: object) -> None:
    """Reject NUL anywhere in a value, because strings of PostgreSQL cannot contain it.

    Raises:
        InvalidReaction: if there is one; the message contains `where`.
    """
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            if "\0" in each:
                message = f"{where} has a NUL character, which cannot be stored; remove it"
                raise InvalidReaction(message)
        elif isinstance(each, Mapping):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple)):
            waiting += each


def _check_live(value: object) -> None:
    if not isinstance(value, bool):
        message = f"live is {value!r}, but must be true or false"
        raise InvalidReaction(message)


def _check_body(body: Body, header_names: set[str]) -> None:
    if body.content_type is not None:
        if body.kind is BodyKind.NONE:
            message = 'a body of kind "none" has no content_type; leave it out'
            raise InvalidReaction(message)
        if not _checked_value("Content-Type", body.content_type):
            message = "content_type is empty; leave it out to use the default"
            raise InvalidReaction(message)
        if "content-type" in header_names:
            message = "the content type is given twice, as a header and with the body; give it once"
            raise InvalidReaction(message)
        if has_placeholders(body.content_type):
            message = "content_type takes no placeholders; set the header Content-Type instead"
            raise InvalidReaction(message)
    encode_fixed(body, _LARGEST_BODY)


def _check_seconds(key: str, value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        message = f"{key} is {value!r}, but must be a number of seconds"
        raise InvalidReaction(message)
    if not (0 < value <= _LONGEST_TIMEOUT and math.isfinite(value)):
        longest = plain_number(_LONGEST_TIMEOUT)
        message = f"{key} is {value} s, but must be more than 0 and at most {longest} s"
        raise InvalidReaction(message)


def _check_concurrency(value: object) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST_CONCURRENT:
        message = (
            f"concurrency is {value!r}, but must be a whole number from 1 to {_MOST_CONCURRENT}"
        )
        raise InvalidReaction(message)


def _check_ordered(value: object, concurrency: int | None) -> None:
    if not isinstance(value, bool):
        message = f"ordered is {value!r}, but must be true or false"
        raise InvalidReaction(message)
    if value and concurrency not in {None, 1}:
        message = (
            "an ordered reaction makes one call at a time, so its concurrency cannot be"
            f" {concurrency}; leave out one of the two"
        )
        raise InvalidReaction(message)


def _check_secrets(secrets: Iterable[str]) -> None:
    if isinstance(secrets, str):
        message = "secrets must be a list of strings, not one string"
        raise InvalidReaction(message)
    keys = [parse_secret(secret) for secret in secrets]
    if len(keys) > _MOST_SECRETS:
        message = f"there are {len(keys)} signing secrets; at most {_MOST_SECRETS} are allowed"
        raise InvalidReaction(message)
    if len(set(keys)) < len(keys):
        message = "a signing secret is given twice; give each once"
        raise InvalidReaction(message)


def _check_tls(tls: TlsOptions) -> None:
    if tls.client_key is not None and tls.client_certificate is None:
        message = "the TLS client_key has no client_certificate; give both, or neither"
        raise InvalidReaction(message)


def _check_redirects(value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_REDIRECTS:
        message = (
            f"redirects is {value!r}, but must be a whole number from 0 (follow none) to"
            f" {_MOST_REDIRECTS}"
        )
        raise InvalidReaction(message)
