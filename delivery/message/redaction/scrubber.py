"""Scrubbing: replacement of known secrets by `***` in any text.

The search covers the plain secret, base64, percent-encoding, JSON escapes, and the unescaped text
(see `escapes`). Secrets of fewer than six characters are not searched, because they occur
everywhere by chance. If there are too many secrets to search, or they are too long, the whole text
becomes `***`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, quote, quote_plus, unquote_plus

from delivery.message.redaction.by_name import (
    REDACTED,
    is_certain,
    is_secret_header,
    is_secret_key,
    is_secret_query_key,
    may_be_secret,
    redact_head,
)
from delivery.message.redaction.escapes import (
    EscapedTextSearch,
    Unescaped,
    has_escapes,
    replace_spans,
)
from delivery.message.redaction.plain_values import is_plain
from delivery.message.redaction.text_search import TextSearch
from delivery.message.request.payload import decode_payload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from delivery.models import HttpParams

__all__ = [
    "FEWEST_CHARACTERS",
    "Scrubber",
    "secrets_in_call",
    "secrets_in_header",
    "secrets_in_pairs",
    "secrets_in_value",
]

FEWEST_CHARACTERS: Final = 6

_MOST: Final = 500
"""Maximum number of secrets; each has about nine forms."""
_MOST_CHARACTERS: Final = 32_768
"""Maximum total length of the secrets; each character costs about half a microsecond."""

_DEEPEST: Final = 5
"""Maximum nesting of texts: JSON in a string of JSON, a URL in a URL."""
_MARK: Final = REDACTED.encode()
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]* +(\S.*)", re.DOTALL)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.-]+")
"""Strings that percent-encoding and JSON do not change."""
_CONTAINERS: Final = frozenset({dict, list, tuple})
_COOKIES: Final = frozenset({"cookie", "set-cookie"})
_PREFIXES: Final = ("whsec_", "whsk_")


class Scrubber:
    """Replacement of known secrets in any of their forms.

    Args:
        secrets: Known secrets.
    """

    __slots__ = (
        *("_escaped", "_head", "_scrubs_all", "_scrubbed_head", "_patterns", "_secrets"),
        "longest",
    )

    def __init__(self, secrets: Iterable[str]) -> None:
        known = set(islice(secrets, _MOST + 1))
        self._scrubs_all = len(known) > _MOST or sum(map(len, known)) > _MOST_CHARACTERS
        if self._scrubs_all:
            known.clear()
        forms = {form for secret in known for form in _forms(secret)}
        self._set(TextSearch(form.encode("utf-8", "surrogatepass") for form in forms), tuple(known))

    def _set(self, patterns: TextSearch, secrets: tuple[str, ...]) -> None:
        self._patterns = patterns
        self._secrets = secrets
        self._escaped: EscapedTextSearch | None = None
        self.longest = patterns.longest
        """Length of the longest form, in bytes. A search must read so far after the stored part."""
        self._head = self._scrubbed_head = b""

    def plus(self, other: Scrubber) -> Scrubber:
        """Return a scrubber of the secrets of both."""
        both = Scrubber(())
        both._scrubs_all = self._scrubs_all or other._scrubs_all
        both._set(self._patterns.plus(other._patterns), (*self._secrets, *other._secrets))
        return both

    def __bool__(self) -> bool:
        return bool(self._patterns) or self._scrubs_all

    def scrub(self, data: bytes) -> bytes:
        """Replace the secrets in the data; return the same object if it contains none."""
        if self._scrubs_all and data:
            return _MARK
        data = self._patterns.replace(data, _MARK)
        if self._secrets and has_escapes(data):
            spans = self._escaped_patterns.find(data)
            if spans:
                data = replace_spans(data, spans, _MARK)
        return data

    @property
    def _escaped_patterns(self) -> EscapedTextSearch:
        """Search of unescaped text, created on first use."""
        if self._escaped is None:
            self._escaped = EscapedTextSearch(
                bare for each in self._secrets for bare in _bare_forms(each)
            )
        return self._escaped

    def find_in(self, text: Unescaped) -> list[tuple[int, int]]:
        """Return the spans of escaped secrets in a text.

        Unlike `scrub`, this builds no index, because thousands of scrubbers examine each log line.
        """
        return text.find(self._patterns.patterns, plain=True)

    def scrub_cut_end(self, data: bytes) -> bytes:
        """Replace the beginning of a secret at the end of data that was cut off."""
        if self._scrubs_all or not self._patterns:
            return data
        text = Unescaped(data, is_cut=True)
        start = text.find_start_at_end((*self._patterns.patterns, *self._escaped_patterns.forms))
        return data if start is None else data[:start] + _MARK

    def scrub_head(self, head: bytes) -> bytes:
        """Redact and scrub the head of a response.

        The last head is cached: heads of a server often differ only in the second of their Date.
        """
        if head != self._head:
            self._head, self._scrubbed_head = head, self.scrub(redact_head(head))
        return self._scrubbed_head

    def scrub_text(self, text: str) -> str:
        """Replace the secrets in a string."""
        text = self.scrub_plain(text)
        if self._secrets and (
            "\\" in text or "%" in text or ("&" in text and ("&#" in text or ";" in text))
        ):
            data = text.encode("utf-8", "surrogatepass")
            spans = self._escaped_patterns.find(data)
            if spans:
                return replace_spans(data, spans, _MARK).decode("utf-8", "replace")
        return text

    def scrub_plain(self, text: str) -> str:
        """Replace the secrets in a string, except escaped secrets; see `find_in`."""
        if self._scrubs_all and text:
            return REDACTED
        data = text.encode("utf-8", "surrogatepass")
        scrubbed = self._patterns.replace(data, _MARK)
        return text if scrubbed is data else scrubbed.decode("utf-8", "surrogatepass")


def secrets_in_call(params: HttpParams) -> Iterator[str]:
    """Yield all secrets of a call, and values that look secret."""
    yield from params.secrets
    yield from secrets_in_pairs(params.headers, params.query)
    for text in (params.url, *(value for _, value in (*params.headers, *params.query))):
        if "=" in text or '"' in text:
            yield from _secrets_in_text(text, 1)
    if params.tls.client_key is not None:
        yield from (line for line in params.tls.client_key.splitlines() if "-----" not in line)
    yield from secrets_in_value(_body_value(params.body.content))


def secrets_in_pairs(
    headers: Iterable[tuple[str, str]], query: Iterable[tuple[str, str]]
) -> Iterator[str]:
    """Yield the values of headers and query pairs with secret names."""
    for name, value in headers:
        if is_secret_header(name) and may_be_secret(name, value):
            yield from secrets_in_header(name, value)
    yield from (
        value for key, value in query if is_secret_query_key(key) and may_be_secret(key, value)
    )


def secrets_in_header(name: str, value: str) -> Iterator[str]:
    """Yield the value of a secret header, and its secret parts."""
    yield value
    found = _SCHEME.fullmatch(value)
    if found:
        # `Bearer …`, `Basic …`: the secret follows the scheme.
        yield found[1]
        yield from _of_basic(found[1])
    if name.lower() in _COOKIES:
        yield from (part.partition("=")[2].strip() for part in value.split(";"))


def _of_basic(encoded: str) -> Iterator[str]:
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return
    yield decoded
    _, found, password = decoded.partition(":")
    if found:
        yield password


def _body_value(content: Any) -> Any:
    if not isinstance(content, str):
        return content
    try:
        return decode_payload(content.encode())
    except (ValueError, RecursionError):
        # Treat it as a form; other text yields no pairs with secret names.
        pairs = (pair.partition("=") for pair in content.split("&"))
        named = ((unquote_plus(name), value) for name, mark, value in pairs if mark)
        return [{name: unquote_plus(value)} for name, value in named if is_secret_key(name)]


def secrets_in_value(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the values under secret keys of a JSON value, also from JSON in strings."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            for key, each in item.items():
                if is_secret_key(str(key)) and may_be_secret(str(key), each):
                    yield from _texts_in(each, certain=is_certain(str(key)))
                elif type(each) in _CONTAINERS or _may_nest(each):
                    waiting.append(each)
        elif isinstance(item, (list, tuple)):
            waiting += [each for each in item if type(each) in _CONTAINERS or _may_nest(each)]
        elif isinstance(item, str) and depth < _DEEPEST:
            yield from _secrets_in_text(item, depth + 1)


def _may_nest(value: object) -> bool:
    """Return True if a value is a string that may be JSON, a form or a URL."""
    return isinstance(value, str) and ("=" in value or '"' in value)


def _secrets_in_text(text: str, depth: int) -> Iterator[str]:
    """Yield the secrets in a string that may be JSON, a form or a URL."""
    if '"' in text and text.lstrip()[:1] in {"{", "["}:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return
        yield from secrets_in_value(value, depth)
    elif "=" in text:
        query = re.split(r"[?#]", text, maxsplit=1)[-1].replace("#", "&").replace(";", "&")
        for key, value in parse_qsl(query, keep_blank_values=True):
            if is_secret_query_key(key) and may_be_secret(key, value):
                yield value
            else:
                yield from secrets_in_value(value, depth)


def _texts_in(value: Any, *, certain: bool) -> Iterator[str]:
    """Yield the strings in a secret value, and the numbers if its name is certain."""
    if isinstance(value, str):
        if certain or not is_plain(value):
            yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts_in(each, certain=certain)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts_in(each, certain=certain)
    elif certain and isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)


def _forms(secret: str) -> Iterator[str]:
    for prefix in _PREFIXES:
        if secret.startswith(prefix):
            # A repeated key can lack the prefix and the padding.
            secret = secret.removeprefix(prefix).rstrip("=")
    if len(secret) < FEWEST_CHARACTERS or "{{" in secret:
        return
    yield secret
    data = secret.encode("utf-8", "surrogatepass")
    # The secret has three possible alignments in a longer base64 text.
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode()
        start = (0, 2, 3)[before]
        whole = encoded[start : len(encoded) - (4 if (before + len(data)) % 3 else 0)]
        if len(whole) >= FEWEST_CHARACTERS:
            yield whole
            yield whole.replace("+", "-").replace("/", "_")
    if _PLAIN.fullmatch(secret):
        return
    for encoded in (quote(data, safe=""), quote(data), quote_plus(data)):
        yield encoded
        yield re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]


def _bare_forms(secret: str) -> Iterator[bytes]:
    """Yield the forms without escapes, for the search of unescaped text."""
    for number, form in enumerate(_forms(secret)):
        data = form.encode("utf-8", "surrogatepass")
        if number == 0 or not has_escapes(data):
            yield data
