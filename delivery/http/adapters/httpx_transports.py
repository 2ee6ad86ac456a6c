"""Adapters between httpx and the engine's transport, in both directions.

`HttpxTransport` makes the engine's calls over any `httpx.AsyncBaseTransport`: over
`httpx.AsyncHTTPTransport` for HTTP/2 and proxies, over `httpx.MockTransport` in users' tests.
`DeliveryHttpxTransport` makes the calls of a user's httpx client over the engine's transport,
including the guard.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from typing import TYPE_CHECKING, Any, Final

import httpx

from delivery.errors import InvalidReaction
from delivery.http.adapters.guarded_httpx import GuardedHttpxTransport
from delivery.http.body import ResponseBody, is_decompressed
from delivery.http.guard import AddressBlocked
from delivery.http.local_shortage import is_shortage
from delivery.http.request import Request
from delivery.http.tls.contexts import context_for
from delivery.http.tls.errors import describe_tls_error
from delivery.message.request.head import message_headers
from delivery.message.request.url import parse_url
from delivery.models import Exchange, FailureKind, TlsOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.http.guard import Guard
    from delivery.http.transport import Transport

__all__ = ["DeliveryHttpxTransport", "HttpxTransport", "TlsAwareHttpxTransport"]

_TLS: Final = "delivery_tls"
"""Extension of an httpx request that contains our TLS options."""
_HOP_BY_HOP: Final = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
"""Headers of the connection, which belongs to the transport."""
_CHANGED_BY_DECHUNKING: Final = frozenset({"transfer-encoding"})
_CHANGED_BY_DECOMPRESSION: Final = frozenset(
    {"content-encoding", "content-length", "transfer-encoding"}
)
_FIELD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN_IN_VALUE: Final = re.compile(rb"[\x00\r\n]")
_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NO_TIMEOUT: Final = 365 * 86_400.0
_STEPS: Final = (
    (httpx.ConnectTimeout, "connecting"),
    (httpx.WriteTimeout, "sending the request"),
    (httpx.PoolTimeout, "waiting for a connection"),
    (httpx.ReadTimeout, "reading the response"),
)


class HttpxTransport:
    """Transport of the engine over a transport of httpx.

    The guard checks the addresses before each call, but a transport of httpx resolves the name
    again when it connects, and may use proxies. Only the native transport and
    `TlsAwareHttpxTransport` guarantee a connection to the checked address, and support TLS options.

    Args:
        transport: Any transport of httpx. It is closed together with this one.
        guard: Decides which addresses may be called.
        max_response_head: Maximum bytes of headers. A longer head is a failure.
        max_response_body: Maximum bytes of a body before and after decompression.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        guard: Guard,
        max_response_head: int,
        max_response_body: int,
    ) -> None:
        self._transport = transport
        self._guard = guard
        self._max_head = max_response_head
        self._max_body = max_response_body

    async def send(self, request: Request) -> Exchange:
        """Make one exchange; see `Transport.send`."""
        exchange = Exchange()
        began = time.perf_counter()
        try:
            async with asyncio.timeout(request.timeout):
                await self._exchange(request, exchange, began)
        except TimeoutError:
            self._timed_out(exchange, request, _step(exchange))
        except httpx.TimeoutException as error:
            steps = (step for kind, step in _STEPS if isinstance(error, kind))
            self._timed_out(exchange, request, next(steps, _step(exchange)))
        except AddressBlocked as blocked:
            exchange.failure_kind, exchange.error = FailureKind.BLOCKED, str(blocked)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, InvalidReaction) as error:
            exchange.failure_kind, exchange.error = FailureKind.MISCONFIGURED, str(error)
        except (httpx.HTTPError, httpx.StreamError, OSError, UnicodeError) as error:
            exchange.failure_kind, exchange.error = _failure(error, request)
        exchange.total_ms = (time.perf_counter() - began) * 1000
        return exchange

    async def aclose(self) -> None:
        """Close the transport of httpx."""
        await self._transport.aclose()

    async def _exchange(self, request: Request, exchange: Exchange, began: float) -> None:
        await self._guard.resolve(request.endpoint)
        sent_at = time.perf_counter()
        exchange.dns_ms = (sent_at - began) * 1000
        response = await self._transport.handle_async_request(_httpx_request(request))
        try:
            exchange.first_byte_ms = (time.perf_counter() - sent_at) * 1000
            exchange.remote_address = _remote_address(response)
            head = _head(response)
            if len(head) > self._max_head:
                exchange.failure_kind = FailureKind.TRANSPORT
                exchange.error = f"the response's headers are longer than {self._max_head} bytes"
                return
            exchange.status_code = response.status_code
            exchange.response_head = head
            await self._read_body(response, exchange)
        finally:
            await response.aclose()

    async def _read_body(self, response: httpx.Response, exchange: Exchange) -> None:
        # Read the raw stream, because `httpx.Response` decompresses without a limit.
        assert isinstance(response.stream, httpx.AsyncByteStream)
        body = ResponseBody(self._max_body)
        body.begin(exchange.response_head)
        try:
            async for chunk in response.stream:
                if not body.feed(chunk):
                    exchange.truncated = True
                    return
            await _close_after_unrequested_bytes(response)
        except BaseException:
            exchange.truncated = True
            raise
        finally:
            exchange.response_body = body.content
            exchange.response_size = body.size

    @staticmethod
    def _timed_out(exchange: Exchange, request: Request, step: str) -> None:
        exchange.failure_kind = FailureKind.TIMEOUT
        exchange.error = f"the timeout of {request.timeout:g} s expired while {step}"


class TlsAwareHttpxTransport(httpx.AsyncBaseTransport):
    """Transport of httpx for each set of TLS options.

    Like the native transport, it trusts the authorities of the system, ignores proxy variables, and
    connects only to addresses that the guard has checked.

    Args:
        limits: See httpx.
        guard: Decides which addresses may be called.
    """

    def __init__(self, limits: httpx.Limits, guard: Guard) -> None:
        self._limits = limits
        self._guard = guard
        self._transports: dict[TlsOptions, GuardedHttpxTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make one exchange.

        Raises:
            httpx.TransportError: as the subclass for the failure.
            InvalidReaction: if the TLS options are invalid.
        """
        options: TlsOptions = request.extensions.get(_TLS) or TlsOptions()
        transport = self._transports.get(options)
        if transport is None:
            transport = self._transports[options] = GuardedHttpxTransport(
                self._guard, context_for(options), self._limits
            )
        return await transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the transports of all TLS options."""
        for transport in self._transports.values():
            await transport.aclose()


class DeliveryHttpxTransport(httpx.AsyncBaseTransport):
    """Transport of an `httpx.AsyncClient` over the engine's transport.

    The response is read completely before it is returned, up to the limits of the transport. A
    truncated body is an error, because httpx cannot represent it. The sum of httpx's timeouts for
    connecting, writing and reading is the deadline of the exchange.

    Args:
        transport: Transport of the engine. It is closed together with this one.
        tls: Private authorities and client certificate for https.
    """

    def __init__(self, transport: Transport, tls: TlsOptions | None = None) -> None:
        self._transport = transport
        self._tls = tls

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make one exchange.

        Raises:
            httpx.TransportError: as the subclass for the failure.
        """
        exchange = await self._transport.send(await self._own_request(request))
        if exchange.failure_kind is not None or exchange.status_code is None:
            raise _httpx_error(exchange, request)
        if exchange.truncated:
            message = f"the body was truncated after {len(exchange.response_body)} bytes"
            raise httpx.ReadError(message, request=request)
        return httpx.Response(
            exchange.status_code,
            headers=_headers_of(exchange.response_head),
            stream=httpx.ByteStream(exchange.response_body),
            request=request,
            extensions={"http_version": b"HTTP/1.1"},
        )

    async def aclose(self) -> None:
        """Close the engine's transport."""
        await self._transport.aclose()

    async def _own_request(self, request: httpx.Request) -> Request:
        url = request.url.copy_with(userinfo=b"", fragment=None)
        try:
            endpoint, _ = parse_url(str(url), tls=self._tls)
        except InvalidReaction as error:
            raise httpx.UnsupportedProtocol(str(error), request=request) from None
        body = await request.aread()
        pairs = [
            (name, value) for name, value in request.headers.raw if name.lower() not in _HOP_BY_HOP
        ]
        names = {name.lower() for name, _ in pairs}
        if b"host" not in names:
            pairs.insert(0, (b"Host", endpoint.host_header.encode()))
        if b"content-length" not in names and body:
            pairs.append((b"Content-Length", b"%d" % len(body)))
        for name, value in pairs:
            if not _FIELD.fullmatch(name) or _FORBIDDEN_IN_VALUE.search(value):
                message = f"the header {name!r} contains an illegal character"
                raise httpx.LocalProtocolError(message, request=request)
        if not _METHOD.fullmatch(request.method):
            message = f"the method {request.method!r} is invalid"
            raise httpx.LocalProtocolError(message, request=request)
        lines = [b"%b %b HTTP/1.1" % (request.method.encode(), url.raw_path)]
        lines += [b"%b: %b" % pair for pair in pairs]
        connect, total = _timeouts(request.extensions.get("timeout"))
        return Request(
            endpoint, request.method, b"\r\n".join([*lines, b"", b""]), body, total, connect
        )


def _httpx_request(request: Request) -> httpx.Request:
    endpoint = request.endpoint
    line, _, _ = request.head.partition(b"\r\n")
    target = line.split(b" ")[1].decode("latin-1")
    # httpx resolves the host of the URL; the Host header is part of the head.
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.name
    connect = min(request.connect_timeout, request.timeout)
    return httpx.Request(
        request.method,
        f"{endpoint.scheme}://{host}:{endpoint.port}{target}",
        headers=message_headers(request.head),
        content=request.body,
        extensions={
            "timeout": {
                "connect": connect,
                "read": request.timeout,
                "write": request.timeout,
                "pool": request.timeout,
            },
            _TLS: endpoint.tls,
            **({"sni_hostname": endpoint.host} if endpoint.is_absolute else {}),
        },
    )


def _head(response: httpx.Response) -> bytes:
    version = response.extensions.get("http_version", b"HTTP/1.1")
    reason = response.reason_phrase.encode("latin-1", "replace")
    status = b"%b %d %b" % (version, response.status_code, reason)
    return b"\r\n".join([status, *(b"%b: %b" % pair for pair in response.headers.raw)])


def _remote_address(response: httpx.Response) -> str | None:
    stream = response.extensions.get("network_stream")
    peer = stream.get_extra_info("server_addr") if stream is not None else None
    if not peer:
        return None
    host = f"[{peer[0]}]" if ":" in peer[0] else peer[0]
    return f"{host}:{peer[1]}"


async def _close_after_unrequested_bytes(response: httpx.Response) -> None:
    """Close the connection if unrequested bytes arrived with the response.

    httpcore would read them as the next response. This reads a private attribute of httpcore 1. If
    it is missing, the connection is closed as well. HTTP/2 is not affected: its streams have ids.
    """
    stream = response.extensions.get("network_stream")
    version: bytes = response.extensions.get("http_version", b"HTTP/1.1")
    if stream is None or not version.startswith(b"HTTP/1"):
        return
    attribute: Any = response.stream
    for name in ("_httpcore_stream", "_stream", "_connection", "_h11_state", "trailing_data"):
        attribute = getattr(attribute, name, None)
    if attribute is None or attribute[0]:
        await stream.aclose()


def _step(exchange: Exchange) -> str:
    if exchange.dns_ms is None:
        return "resolving the name"
    if exchange.first_byte_ms is None:
        return "waiting for a response"
    return "reading the response's body"


def _failure(error: Exception, request: Request) -> tuple[FailureKind, str]:
    """Classify an error of httpx by its causes."""
    causes = list(_causes(error))
    # A shortage while sending is not a local failure: the request may have arrived.
    was_connecting = isinstance(error, httpx.ConnectError) or not isinstance(error, httpx.HTTPError)
    if was_connecting and is_shortage(error):
        return FailureKind.LOCAL, next(filter(None, map(str, reversed(causes))), "")
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return FailureKind.TLS, describe_tls_error(cause, request.endpoint)
        if isinstance(cause, socket.gaierror):
            reason = cause.strerror or str(cause)
            return FailureKind.DNS, f"{request.endpoint.host} cannot be resolved: {reason}"
    if isinstance(error, UnicodeError):
        return FailureKind.DNS, f"{request.endpoint.host} cannot be resolved: {error}"
    texts = (str(cause) for cause in causes)
    return FailureKind.TRANSPORT, next(filter(None, texts), type(error).__name__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _headers_of(head: bytes) -> list[tuple[str, str]]:
    """Return the headers, without codings and lengths that do not match the returned body."""
    omitted = _CHANGED_BY_DECOMPRESSION if is_decompressed(head) else _CHANGED_BY_DECHUNKING
    return [pair for pair in message_headers(head) if pair[0].lower() not in omitted]


def _timeouts(given: Any) -> tuple[float, float]:
    """Compute the connect timeout and the deadline. None means no limit in httpx."""
    if not given:
        return _NO_TIMEOUT, _NO_TIMEOUT
    parts = [given.get(name) for name in ("connect", "write", "read")]
    connect = _NO_TIMEOUT if parts[0] is None else parts[0]
    total = _NO_TIMEOUT if None in parts else sum(parts)
    return connect, total


def _httpx_error(exchange: Exchange, request: httpx.Request) -> httpx.TransportError:
    connected = exchange.remote_address is not None
    kind: type[httpx.TransportError]
    match exchange.failure_kind:
        case FailureKind.TIMEOUT if not connected:
            kind = httpx.ConnectTimeout
        case FailureKind.TIMEOUT:
            kind = httpx.WriteTimeout if exchange.send_ms is None else httpx.ReadTimeout
        case FailureKind.BLOCKED | FailureKind.MISCONFIGURED:
            kind = httpx.UnsupportedProtocol
        case _ if not connected:
            kind = httpx.ConnectError
        case _ if exchange.first_byte_ms is None:
            kind = httpx.ReadError
        case _:
            kind = httpx.RemoteProtocolError
    return kind(exchange.error or "the exchange failed", request=request)
