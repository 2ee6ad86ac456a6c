"""The URL of a call: what it names, without ambiguity, or why it cannot be used."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final
from unicodedata import normalize
from urllib.parse import quote, urlsplit

import idna

from delivery.errors import InvalidReaction
from delivery.message.redaction.by_name import redact_url
from delivery.models import TlsOptions

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "LONGEST_URL",
    "Endpoint",
    "add_query",
    "ascii_host",
    "join_query",
    "literal_address",
    "parse_url",
    "quote_target",
    "quote_value",
]

_PORTS: Final = {"http": 80, "https": 443}
LONGEST_URL: Final = 8_192
"""Characters."""
_MAX_HOST: Final = 253
_CONTROL_OR_SPACE: Final = re.compile(r"[\x00-\x20\x7f]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")
_BRACKETED: Final = re.compile(r"\[[^\[\]]*\](?::[0-9]*)?")
_SAFE: Final = "!#$%&'()*+,/:;=?@[]~"
"""Characters of path and query that are sent as they are; the rest is percent-encoded as UTF-8."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where connections go: calls with equal endpoints may share connections."""

    scheme: str
    host: str
    """In ASCII and lower case, without a trailing dot; an IPv6 address without brackets."""
    port: int
    tls: TlsOptions
    is_absolute: bool = False
    """Whether the name was given with a trailing dot, so that no search domain is added to it."""
    key: tuple[object, ...] = field(init=False, repr=False, compare=False)
    """The same for equal endpoints. As a key of a dictionary it costs a tenth of the endpoint."""

    def __post_init__(self) -> None:
        """Make the key."""
        tls = self.tls
        options = (tls.ca, tls.client_certificate, tls.client_key, tls.minimum_version)
        key = (self.scheme, self.host, self.port, self.is_absolute, *options)
        object.__setattr__(self, "key", key)

    @property
    def name(self) -> str:
        """The host as it is to be resolved."""
        return f"{self.host}." if self.is_absolute else self.host

    @property
    def host_header(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(url: object, *, tls: TlsOptions | None = None) -> tuple[Endpoint, str]:
    """The endpoint, and the path and query to ask for there.

    Raises:
        InvalidReaction: if the URL is malformed, not http or https, carries credentials, or names
            its host in a form that programs read differently.
    """
    if not isinstance(url, str) or not url or len(url) > LONGEST_URL:
        raise _invalid_url(url, f"it must be a text of 1 to {LONGEST_URL} characters")
    if _CONTROL_OR_SPACE.search(url) or "\\" in url:
        raise _invalid_url(
            url, "it contains a space, control character or backslash; encode it as %XX"
        )
    if _SURROGATE.search(url):
        raise _invalid_url(
            url, "it has a lone surrogate in it, which UTF-8 cannot encode; remove it"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _invalid_url(url, f"{error}") from None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS:
        raise _invalid_url(url, "its scheme must be http or https")
    if port == 0:
        raise _invalid_url(url, "port 0 cannot be connected to")
    try:
        host, is_absolute = _host(parts.netloc, parts.hostname)
    except ValueError as error:
        raise _invalid_url(url, f"{error}") from None
    target = quote_target(parts.path or "/")
    if parts.query or url.split("#", 1)[0].endswith("?"):
        target += "?" + quote_target(parts.query)
    endpoint = Endpoint(
        scheme,
        host,
        port or _PORTS[scheme],
        tls if scheme == "https" and tls else TlsOptions(),
        is_absolute,
    )
    return endpoint, target


def quote_target(text: str) -> str:
    """Path or query as sent: what may not stand there is percent-encoded, `%XX` and `&` stay."""
    return quote(text, safe=_SAFE)


def quote_value(text: str) -> str:
    """A value as a part of path or query: whatever means something there is percent-encoded."""
    return quote(text, safe="", errors="strict")


def add_query(target: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Path and query with more pairs behind; names and values as they are meant, not encoded."""
    added = "&".join(f"{quote_value(name)}={quote_value(value)}" for name, value in pairs)
    return join_query(target, added) if added else target


def join_query(target: str, pairs: str) -> str:
    """Path and query with more, encoded, behind its own query."""
    if "?" not in target:
        return f"{target}?{pairs}"
    return f"{target}{'' if target[-1] in '?&' else '&'}{pairs}"


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address, if the host of an `Endpoint` is one."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def ascii_host(host: str) -> str:
    """Return a host name or address in the one form in which an `Endpoint` holds it.

    Names become lower case, ASCII (IDNA 2008 with the mapping of UTS 46) and lose a trailing dot.

    Raises:
        ValueError: if it is no host name, or an IPv4 address in a form that programs read
            differently ("127.1", "0x7f.0.0.1", "2130706433").
    """
    return _canonical(host)[0]


@lru_cache(maxsize=4_096)
def _canonical(host: str) -> tuple[str, bool]:
    """Return the host in its one form, and whether it is a name that ends in a dot."""
    if ":" in host:
        return _ipv6(host), False
    name = host
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise ValueError(_not_allowed(host, error)) from None
    name = name.lower()
    is_absolute = name.endswith(".")
    name = name.removesuffix(".")
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        # Some resolvers read these as addresses and others as names: what is judged must not
        # depend on who reads.
        try:
            return str(IPv4Address(name)), False
        except AddressValueError:
            message = "its host looks like an IPv4 address; write it as four decimal numbers"
            raise ValueError(message) from None
    if len(name) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        message = f"{host!r} is not a host name"
        raise ValueError(message)
    return name, is_absolute


def _not_allowed(host: str, error: idna.IDNAError) -> str:
    """Say why IDNA 2008 refuses a host, and which form older rules would give it."""
    message = f"its host is not a domain name by IDNA 2008: {error}"
    try:
        labels = [
            label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}"
            for label in re.split("[.\u3002\uff0e\uff61]", normalize("NFKC", host).lower())
        ]
    except UnicodeError:
        return message
    form = ".".join(labels)
    if not all(_LABEL.fullmatch(label) for label in labels) or len(form) > _MAX_HOST:
        return message
    return f"{message}; if there is such a domain, write it as {form}"


def _host(netloc: str, hostname: str | None) -> tuple[str, bool]:
    if "@" in netloc:
        message = "it carries credentials; give them as a header instead"
        raise ValueError(message)
    if not hostname:
        message = "it names no host"
        raise ValueError(message)
    bracketed = "[" in netloc or "]" in netloc
    if bracketed != (":" in hostname) or (bracketed and not _BRACKETED.fullmatch(netloc)):
        message = "only an IPv6 address may stand in brackets, and nothing beside it"
        raise ValueError(message)
    return _canonical(hostname)


def _ipv6(host: str) -> str:
    if "%" in host:
        message = "an IPv6 address with a zone cannot be called"
        raise ValueError(message)
    try:
        return str(IPv6Address(host))
    except AddressValueError as error:
        message = f"its IPv6 address is not one: {error}"
        raise ValueError(message) from None


def _invalid_url(url: object, reason: str) -> InvalidReaction:
    redacted = redact_url(url) if isinstance(url, str) and "@" not in url else "…"
    return InvalidReaction(f"the url {redacted!r:.200} cannot be called: {reason}")
