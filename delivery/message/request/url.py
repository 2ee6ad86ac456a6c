"""Parsing of URLs into unambiguous endpoints, or an error with the reason."""

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
"""Maximum length in characters."""
_MAX_HOST: Final = 253
_CONTROL_OR_SPACE: Final = re.compile(r"[\x00-\x20\x7f]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")
_BRACKETED: Final = re.compile(r"\[[^\[\]]*\](?::[0-9]*)?")
_SAFE: Final = "!#$%&'()*+,/:;=?@[]~"
"""Characters of path and query that are not percent-encoded."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Target of a connection. Calls with equal endpoints can share connections."""

    scheme: str
    host: str
    """Host in ASCII and lower case, without a trailing dot; an IPv6 address without brackets."""
    port: int
    tls: TlsOptions
    is_absolute: bool = False
    """True if the given name has a trailing dot, so that no search domain is added to it."""
    key: tuple[object, ...] = field(init=False, repr=False, compare=False)
    """Tuple that is equal for equal endpoints. Hashing it costs a tenth of hashing the endpoint."""

    def __post_init__(self) -> None:
        """Compute the key."""
        tls = self.tls
        options = (tls.ca, tls.client_certificate, tls.client_key, tls.minimum_version)
        key = (self.scheme, self.host, self.port, self.is_absolute, *options)
        object.__setattr__(self, "key", key)

    @property
    def name(self) -> str:
        """Host as passed to the resolver."""
        return f"{self.host}." if self.is_absolute else self.host

    @property
    def host_header(self) -> str:
        """Value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def parse_url(url: object, *, tls: TlsOptions | None = None) -> tuple[Endpoint, str]:
    """Return the endpoint, and the path and query of the request.

    Raises:
        InvalidReaction: if the URL is malformed, is not http or https, contains credentials, or
            has a host that programs interpret differently.
    """
    if not isinstance(url, str) or not url or len(url) > LONGEST_URL:
        raise _invalid_url(url, f"it must be a string of 1 to {LONGEST_URL} characters")
    if _CONTROL_OR_SPACE.search(url) or "\\" in url:
        raise _invalid_url(
            url, "it contains a space, control character or backslash; encode it as %XX"
        )
    if _SURROGATE.search(url):
        raise _invalid_url(
            url, "it contains a lone surrogate, which UTF-8 cannot encode; remove it"
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
        raise _invalid_url(url, "port 0 is reserved; use another port")
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
    """Quote (percent-encode) invalid characters of a path or query, but not `%XX` and `&`."""
    return quote(text, safe=_SAFE)


def quote_value(text: str) -> str:
    """Quote (percent-encode) a value for a path or query, including all reserved characters."""
    return quote(text, safe="", errors="strict")


def add_query(target: str, pairs: Iterable[tuple[str, str]]) -> str:
    """Append pairs to the query of a target; names and values are not encoded yet."""
    added = "&".join(f"{quote_value(name)}={quote_value(value)}" for name, value in pairs)
    return join_query(target, added) if added else target


def join_query(target: str, pairs: str) -> str:
    """Append encoded pairs to the query of a target."""
    if "?" not in target:
        return f"{target}?{pairs}"
    return f"{target}{'' if target[-1] in '?&' else '&'}{pairs}"


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return the host of an `Endpoint` as an address; None if it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def ascii_host(host: str) -> str:
    """Return the canonical form of a host name or address, as in `Endpoint.host`.

    Names become lower case and ASCII (IDNA 2008 with the mapping of UTS 46); a trailing dot is
    removed.

    Raises:
        ValueError: if it is not a host name, or is an IPv4 address in a form that programs
            interpret differently ("127.1", "0x7f.0.0.1", "2130706433").
    """
    return _canonical(host)[0]


@lru_cache(maxsize=4_096)
def _canonical(host: str) -> tuple[str, bool]:
    """Return the canonical host, and True if it is a name that ends in a dot."""
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
        # Some resolvers read these as addresses and others as names. The guard and the resolver
        # must agree.
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
    """Explain why IDNA 2008 rejects a host, and suggest the form of older rules."""
    message = f"its host is not a valid IDNA 2008 domain name: {error}"
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
    return f"{message}; if the domain exists, write it as {form}"


def _host(netloc: str, hostname: str | None) -> tuple[str, bool]:
    if "@" in netloc:
        message = "it contains credentials; send them in a header instead"
        raise ValueError(message)
    if not hostname:
        message = "it has no host"
        raise ValueError(message)
    bracketed = "[" in netloc or "]" in netloc
    if bracketed != (":" in hostname) or (bracketed and not _BRACKETED.fullmatch(netloc)):
        message = "brackets may contain only an IPv6 address, followed only by a port"
        raise ValueError(message)
    return _canonical(hostname)


def _ipv6(host: str) -> str:
    if "%" in host:
        message = "an IPv6 address cannot have a zone"
        raise ValueError(message)
    try:
        return str(IPv6Address(host))
    except AddressValueError as error:
        message = f"its IPv6 address is invalid: {error}"
        raise ValueError(message) from None


def _invalid_url(url: object, reason: str) -> InvalidReaction:
    redacted = redact_url(url) if isinstance(url, str) and "@" not in url else "…"
    return InvalidReaction(f"the url {redacted!r:.200} cannot be called: {reason}")
