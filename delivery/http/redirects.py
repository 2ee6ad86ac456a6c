"""Redirects, for calls that allow them.

Each hop is an ordinary exchange: the same rules apply to its URL, the guard checks its addresses,
and it must end within the rest of the timeout. Unlike browsers, the engine preserves method and
body for every status: a POST that becomes a GET delivers nothing (RFC 9110, 15.4, allows both for
301 and 302).

Secrets are sent only to the origin they are meant for. A redirect to another scheme, host or port:

- omits headers that are credentials or contain a declared secret of the call;
- uses neither the client certificate nor the private authorities;
- is refused if the body contains a declared secret.

Fields of an event whose names look secret do not matter here: that rule applies to logs; see
`delivery.message.redaction.declared_credentials`. `webhook-signature` is sent: it is not a secret,
and the receiver needs it for the verification.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urljoin

from delivery.message.redaction.by_name import is_credential, redact_head, redact_url
from delivery.message.redaction.declared_credentials import credentials_in
from delivery.message.redaction.scrubber import Scrubber
from delivery.message.request.head import find_header
from delivery.message.request.url import parse_url
from delivery.models import Exchange, FailureKind, TlsOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from delivery.http.request import Request
    from delivery.http.transport import Transport
    from delivery.message.request.url import Endpoint

__all__ = ["Redirects"]

_STATUSES: Final = frozenset({301, 302, 303, 307, 308})
_AMBIGUOUS: Final = re.compile(r"[\x00-\x20\x7f\\]")
_TIMINGS: Final = ("dns_ms", "connect_ms", "tls_ms", "send_ms", "first_byte_ms")


class _Hop(NamedTuple):
    request: Request
    redacted_url: str


class _NotFollowed(Exception):
    """Reason not to follow a redirect."""


class _Refused(_NotFollowed):
    """Reason not to follow a redirect that is forbidden, not just impossible."""


@dataclass(frozen=True, slots=True)
class Redirects:
    """Rules for the redirects of a call."""

    limit: int
    """Maximum number of redirects, from 1."""
    tls_minimum_version: str | None = None
    """Minimum version of TLS for other origins."""
    declared: Scrubber | None = None
    """Scrubber of the secrets that the call declares, independent of the event."""
    has_secret_body: bool = False
    """True if the body template of the call has a field with the name of a secret."""

    async def follow(
        self,
        transport: Transport,
        request: Request,
        *,
        plain_body: bytes = b"",
    ) -> Exchange:
        """Make the exchange and follow its redirects, within the request's timeout.

        The result is the last response, with the total times of all exchanges, and the heads of the
        redirects in `earlier_heads`. If a redirect cannot be followed, it is the last response, and
        `error` contains the reason. If a redirect is forbidden, the failure is `blocked`: the guard
        refuses the target, the redirect leads from https to http, or the body has declared secrets
        and the target is another origin.

        Args:
            transport: Transport of the exchanges.
            request: First request.
            plain_body: Body before compression.
        """
        began = time.perf_counter()
        exchange = await transport.send(request)
        waited_ms = exchange.waited_ms
        seen = {_location_key(request)}
        while exchange.failure_kind is None and exchange.status_code in _STATUSES:
            location = find_header(exchange.response_head, b"location")
            if not location:
                break
            try:
                hop = self._hop(request, location, seen, plain_body)
            except _NotFollowed as reason:
                if isinstance(reason, _Refused):
                    exchange.failure_kind = FailureKind.BLOCKED
                exchange.error = f"the redirect is not followed: {reason}"
                break
            seen.add(_location_key(hop.request))
            left = request.timeout - (time.perf_counter() - began - waited_ms / 1000)
            latest = await transport.send(replace(hop.request, timeout=max(left, 0.0), slot=None))
            waited_ms += latest.waited_ms
            if latest.failure_kind is FailureKind.BLOCKED:
                exchange.failure_kind = FailureKind.BLOCKED
                exchange.error = f"the redirect is not followed: {latest.error}"
                break
            if latest.error is not None:
                # Show the timeout of all hops, not the remaining time of this one.
                error = latest.error.replace(f"{max(left, 0.0):g} s", f"{request.timeout:g} s")
                latest.error = f"after a redirect to {hop.redacted_url}: {error}"
            exchange = _merge(exchange, latest)
            request = replace(hop.request, timeout=request.timeout)
        exchange.total_ms = (time.perf_counter() - began) * 1000 - waited_ms
        return exchange

    def _hop(
        self,
        request: Request,
        location: bytes,
        seen: set[tuple[Endpoint, str]],
        plain_body: bytes,
    ) -> _Hop:
        """Build the next request."""
        endpoint = request.endpoint
        origin = f"{endpoint.scheme}://{endpoint.host_header}"
        try:
            url = _resolved(origin + _target(request), _text(location))
            following, target = parse_url(url)
        except ValueError as error:
            raise _NotFollowed(str(error)) from None
        redacted_url = redact_url(url)
        if endpoint.scheme == "https" and following.scheme != "https":
            message = f"{redacted_url} is not https, unlike the previous URL"
            raise _Refused(message)
        is_sent: Callable[[bytes], bool] = _is_any
        if _origin(following) == _origin(endpoint):
            following = endpoint
        else:
            secrets = self._secrets_of(request)
            if self.has_secret_body or _contains(secrets, plain_body):
                message = f"the body contains secrets, and {redacted_url} has another origin"
                raise _Refused(message)
            is_sent = partial(_is_not_secret, secrets)
            if following.scheme == "https":
                tls = TlsOptions(minimum_version=self.tls_minimum_version)
                following = replace(following, tls=tls)
        head = _head(request, following, target, is_sent)
        hop = replace(request, endpoint=following, head=head)
        if _location_key(hop) in seen:
            message = f"redirect loop, back to {redacted_url}"
            raise _NotFollowed(message)
        if len(seen) > self.limit:
            allowed = "1 redirect is" if self.limit == 1 else f"{self.limit} redirects are"
            message = f"at most {allowed} allowed, and the next one leads to {redacted_url}"
            raise _NotFollowed(message)
        return _Hop(hop, redacted_url)

    def _secrets_of(self, request: Request) -> Scrubber:
        """Return a scrubber of the declared secrets and the credentials of this request."""
        credentials = Scrubber(credentials_in(request.head))
        return credentials if self.declared is None else self.declared.plus(credentials)


def _resolved(base: str, location: str) -> str:
    if _AMBIGUOUS.search(location):
        # `urljoin` removes some of these characters, and programs interpret the others differently.
        message = "its Location contains a space, control character or backslash"
        raise ValueError(message)
    return urljoin(base, location)


def _text(location: bytes) -> str:
    try:
        return location.decode()
    except UnicodeDecodeError:
        return location.decode("latin-1")


def _target(request: Request) -> str:
    return request.head.split(b" ", 2)[1].decode("latin-1")


def _location_key(request: Request) -> tuple[Endpoint, str]:
    return request.endpoint, _target(request)


def _origin(endpoint: Endpoint) -> tuple[str, str, int]:
    return endpoint.scheme, endpoint.host, endpoint.port


def _contains(secrets: Scrubber, data: bytes) -> bool:
    return secrets.scrub(data) is not data


def _is_any(_: bytes) -> bool:
    return True


def _is_not_secret(secrets: Scrubber, line: bytes) -> bool:
    """Return whether a header line contains no secret."""
    name, _, value = line.decode("latin-1").partition(":")
    return not is_credential(name.strip(), value.strip()) and not _contains(secrets, line)


def _head(
    request: Request, endpoint: Endpoint, target: str, is_sent: Callable[[bytes], bool]
) -> bytes:
    """Build the head of the request for another URL."""
    lines = [f"{request.method} {target} HTTP/1.1".encode("latin-1")]
    for line in request.head.removesuffix(b"\r\n\r\n").split(b"\r\n")[1:]:
        if line[:5].lower() == b"host:":
            lines.append(f"Host: {endpoint.host_header}".encode("latin-1"))
        elif is_sent(line):
            lines.append(line)
    return b"\r\n".join([*lines, b"", b""])


def _merge(redirect: Exchange, latest: Exchange) -> Exchange:
    """Add the times and the head of a redirect to the response that followed."""
    for name in _TIMINGS:
        before = getattr(redirect, name)
        if before is not None:
            setattr(latest, name, before + (getattr(latest, name) or 0.0))
    latest.earlier_heads = redirect.earlier_heads + _redacted(redirect.response_head) + b"\r\n\r\n"
    return latest


def _redacted(head: bytes) -> bytes:
    location = find_header(head, b"location")
    assert location is not None
    redacted = redact_url(_text(location)).encode()
    return redact_head(head.replace(location, redacted))
