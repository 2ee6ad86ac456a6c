"""Follows redirects, for calls that ask for it.

Each hop is an exchange like any other: its URL is parsed by the same rules, the guard judges its
addresses, and what remains of the timeout is all the time it has. Other than in browsers, method
and body are kept whatever the status says: a POST that becomes a GET delivers nothing (RFC 9110,
15.4, allows both for 301 and 302).

A secret stays with the origin it was meant for. Another scheme, host or port receives no header
that is a credential or repeats a secret that the call declares, and no client certificate; no
private authority is trusted there; and a body that has such a secret is not sent there at all. What
only looks secret in an event decides nothing: that is a rule about logs; see
`delivery.message.redaction.declared_credentials`. `webhook-signature` is kept: it is no secret, and
the receiver verifies by it.
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
    shown_url: str


class _NotFollowed(Exception):
    """A redirect that leads nowhere; the text says why."""


class _Refused(_NotFollowed):
    """One that must not be followed."""


@dataclass(frozen=True, slots=True)
class Redirects:
    """How redirects of a call are followed."""

    most: int
    """How many, from 1."""
    tls_minimum_version: str | None = None
    """The oldest version of TLS that is spoken with other origins."""
    declared: Scrubber | None = None
    """Finds the secrets that the call declares, whatever the event is."""
    has_secret_body: bool = False
    """Whether the call's own body has a field that is named as a secret."""

    async def follow(
        self,
        transport: Transport,
        request: Request,
        *,
        plain_body: bytes = b"",
    ) -> Exchange:
        """Make the exchange and those it leads to, all within the request's timeout.

        The result is the last answer, with the times of all taken together, and the heads of the
        others in `earlier_heads`. A redirect that cannot be followed is itself the last answer, and
        `error` says why; one that must not be, since the guard refuses where it leads, it leaves
        https, or the body has declared secrets for another origin, is `blocked`.

        Args:
            transport: Makes the exchanges.
            request: The first.
            plain_body: Its body before it was compressed.
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
            answer = await transport.send(replace(hop.request, timeout=max(left, 0.0), slot=None))
            waited_ms += answer.waited_ms
            if answer.failure_kind is FailureKind.BLOCKED:
                exchange.failure_kind = FailureKind.BLOCKED
                exchange.error = f"the redirect is not followed: {answer.error}"
                break
            if answer.error is not None:
                # The deadline is that of all hops.
                said = answer.error.replace(f"{max(left, 0.0):g} s", f"{request.timeout:g} s")
                answer.error = f"after a redirect to {hop.shown_url}: {said}"
            exchange = _behind(exchange, answer)
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
        """The request to make next."""
        endpoint = request.endpoint
        origin = f"{endpoint.scheme}://{endpoint.host_header}"
        try:
            url = _resolved(origin + _target(request), _text(location))
            following, target = parse_url(url)
        except ValueError as error:
            raise _NotFollowed(str(error)) from None
        shown_url = redact_url(url)
        if endpoint.scheme == "https" and following.scheme != "https":
            message = f"{shown_url} is not https, as the url before was"
            raise _Refused(message)
        is_kept: Callable[[bytes], bool] = _kept
        if _origin(following) == _origin(endpoint):
            following = endpoint
        else:
            secrets = self._secrets_of(request)
            if self.has_secret_body or _finds(secrets, plain_body):
                message = f"the body has secrets, and {shown_url} is of another origin"
                raise _Refused(message)
            is_kept = partial(_is_open, secrets)
            if following.scheme == "https":
                tls = TlsOptions(minimum_version=self.tls_minimum_version)
                following = replace(following, tls=tls)
        head = _head(request, following, target, is_kept)
        hop = replace(request, endpoint=following, head=head)
        if _location_key(hop) in seen:
            message = f"it leads in a circle, back to {shown_url}"
            raise _NotFollowed(message)
        if len(seen) > self.most:
            allowed = "one redirect is" if self.most == 1 else f"{self.most} redirects are"
            message = f"no more than {allowed} followed, and it leads on to {shown_url}"
            raise _NotFollowed(message)
        return _Hop(hop, shown_url)

    def _secrets_of(self, request: Request) -> Scrubber:
        """Return what finds the secrets of the call, and the credentials of this request."""
        credentials = Scrubber(credentials_in(request.head))
        return credentials if self.declared is None else self.declared.plus(credentials)


def _resolved(base: str, location: str) -> str:
    if _AMBIGUOUS.search(location):
        # Joining removes some of these, and programs differ about the others.
        message = "its Location has a space, control character or backslash in it"
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


def _finds(secrets: Scrubber, data: bytes) -> bool:
    return secrets.scrub(data) is not data


def _kept(_: bytes) -> bool:
    return True


def _is_open(secrets: Scrubber, line: bytes) -> bool:
    """Whether a line of a head has nothing secret in it."""
    name, _, value = line.decode("latin-1").partition(":")
    return not is_credential(name.strip(), value.strip()) and not _finds(secrets, line)


def _head(
    request: Request, endpoint: Endpoint, target: str, is_kept: Callable[[bytes], bool]
) -> bytes:
    """The request's head for another place."""
    lines = [f"{request.method} {target} HTTP/1.1".encode("latin-1")]
    for line in request.head.removesuffix(b"\r\n\r\n").split(b"\r\n")[1:]:
        if line[:5].lower() == b"host:":
            lines.append(f"Host: {endpoint.host_header}".encode("latin-1"))
        elif is_kept(line):
            lines.append(line)
    return b"\r\n".join([*lines, b"", b""])


def _behind(redirect: Exchange, answer: Exchange) -> Exchange:
    """The answer, with what is kept of the redirect that led to it."""
    for name in _TIMINGS:
        before = getattr(redirect, name)
        if before is not None:
            setattr(answer, name, before + (getattr(answer, name) or 0.0))
    answer.earlier_heads = redirect.earlier_heads + _storable(redirect.response_head) + b"\r\n\r\n"
    return answer


def _storable(head: bytes) -> bytes:
    location = find_header(head, b"location")
    assert location is not None
    shown = redact_url(_text(location)).encode()
    return redact_head(head.replace(location, shown))
