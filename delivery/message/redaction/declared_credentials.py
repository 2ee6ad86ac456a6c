"""Credentials that a call declares, which decide if a redirect to another origin may receive them.

Logs redact values that look secret, also in payloads. That is a guess and must not change requests.
This decision therefore uses only the credentials that the call declares: signing secrets, the TLS
key, credentials in headers and query, and secret fields of a fixed body.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from delivery.message.redaction.bodies import redact_body
from delivery.message.redaction.by_name import is_certain, is_credential
from delivery.message.redaction.scrubber import secrets_in_header
from delivery.message.request.head import message_headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from delivery.models import Body, HttpParams

__all__ = ["credentials_in", "declared_secrets", "declares_secret_body"]

_PLACEHOLDER: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)


def declared_secrets(params: HttpParams) -> Iterator[str]:
    """Yield the secrets of a call that do not depend on the payload."""
    yield from params.secrets
    query = parse_qsl(urlsplit(params.url).query, keep_blank_values=True)
    yield from _credentials(params.headers, (*params.query, *query))
    if params.tls.client_key is not None:
        yield from (line for line in params.tls.client_key.splitlines() if "-----" not in line)


def credentials_in(head: bytes) -> Iterator[str]:
    """Yield the credentials in the head of a request, including values of placeholders."""
    target = head.split(b" ", 2)[1].decode("latin-1")
    query = parse_qsl(target.partition("?")[2], keep_blank_values=True)
    return _credentials(message_headers(head), query)


def declares_secret_body(body: Body) -> bool:
    """Return True if the fixed body of a call has a field with a secret name.

    A payload or an envelope declares no credentials.
    """
    content = body.content
    if not isinstance(content, str):
        return _declares(content)
    try:
        # A placeholder is a whole value or a part of a string; 0 fits both.
        return _declares(json.loads(_PLACEHOLDER.sub("0", content)))
    except (ValueError, RecursionError):
        pass
    if content.lstrip()[:1] in {"{", "["}:
        # For text that is almost JSON, the redaction of logs is the best guess.
        data = content.encode("utf-8", "surrogatepass")
        return redact_body(data) != data
    return _declares(dict(parse_qsl(content, keep_blank_values=True)))


def _credentials(
    headers: Iterable[tuple[str, str]], query: Iterable[tuple[str, str]]
) -> Iterator[str]:
    for name, value in headers:
        if is_credential(name, value):
            yield from secrets_in_header(name, value)
    yield from (value for name, value in query if is_credential(name, value))


def _declares(value: Any) -> bool:
    if isinstance(value, dict):
        return any(
            (is_certain(str(key)) and is_credential(str(key), each)) or _declares(each)
            for key, each in value.items()
        )
    return isinstance(value, (list, tuple)) and any(map(_declares, value))
