"""Between httpx and the engine's transport, in both directions.

`HttpxTransport` lets any `httpx.AsyncBaseTransport` make the engine's calls: httpx's own for HTTP/2
and proxies, `httpx.MockTransport` in tests of users. `DeliveryHttpxTransport` lets users' own httpx
clients make their calls over the engine's transport, guard included.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import httpx

from delivery.http.guard import AddressBlocked
from delivery.http.request import Request
from delivery.message.head import message_headers
from delivery.message.url import parse_url
from delivery.models import Exchange, FailureKind

if TYPE_CHECKING:
    from delivery.http.guard import Guard
    from delivery.http.transport import Transport

__all__ = ["DeliveryHttpxTransport", "HttpxTransport"]

_HOP_BY_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "upgrade"})
_NO_TIMEOUT: Final = 300.0


class HttpxTransport:
    """Makes the engine's exchanges over a transport of httpx.

    The guard is asked before each call, but httpx resolves the name again when it connects: only
    the engine's own transport connects to the very address that was judged.

    Args:
        transport: Any transport of httpx; it is closed with this one.
        guard: Says which addresses may be called.
        max_response_head: Bytes of headers above which a response is a failure.
        max_response_body: Bytes of a body that are read, after decompression.
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
        except (TimeoutError, httpx.TimeoutException) as error:
            exchange.failure_kind = FailureKind.TIMEOUT
            exchange.error = f"the time was over: {error}" if str(error) else "the time was over"
        except AddressBlocked as blocked:
            exchange.failure_kind, exchange.error = FailureKind.BLOCKED, str(blocked)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            exchange.failure_kind, exchange.error = FailureKind.MISCONFIGURED, str(error)
        except (httpx.HTTPError, OSError) as error:
            text = str(error) or type(error).__name__
            about_tls = "certificate" in text.lower() or "ssl" in text.lower()
            exchange.failure_kind = FailureKind.TLS if about_tls else FailureKind.TRANSPORT
            exchange.error = text
        exchange.total_ms = (time.perf_counter() - began) * 1000
        return exchange

    async def aclose(self) -> None:
        """Close the transport of httpx."""
        await self._transport.aclose()

    async def _exchange(self, request: Request, exchange: Exchange, began: float) -> None:
        await self._guard.resolve(request.endpoint)
        exchange.dns_ms = (time.perf_counter() - began) * 1000
        sent_at = time.perf_counter()
        response = await self._transport.handle_async_request(_httpx_request(request))
        try:
            exchange.first_byte_ms = (time.perf_counter() - sent_at) * 1000
            exchange.status_code = response.status_code
            exchange.response_head = _head(response)
            if len(exchange.response_head) > self._max_head:
                exchange.failure_kind = FailureKind.TRANSPORT
                exchange.error = f"the response's headers are longer than {self._max_head} bytes"
                return
            await self._read_body(response, exchange)
        finally:
            await response.aclose()

    async def _read_body(self, response: httpx.Response, exchange: Exchange) -> None:
        kept = bytearray()
        async for chunk in response.aiter_bytes():
            exchange.response_size += len(chunk)
            kept += chunk[: self._max_body - len(kept)]
            exchange.response_body = bytes(kept)
            if exchange.response_size > self._max_body:
                exchange.truncated = True
                return


class DeliveryHttpxTransport(httpx.AsyncBaseTransport):
    """Makes the exchanges of an `httpx.AsyncClient` over the engine's transport.

    The whole response is read before it is returned, up to the transport's caps; a body that was
    cut is an error here, since httpx has no word for it. Timeouts of httpx are taken as one
    deadline: the connect timeout for connecting, their sum for the whole.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make one exchange.

        Raises:
            httpx.TransportError: the subclass that says what failed.
        """
        endpoint, target = parse_url(str(request.url))
        body = await request.aread()
        lines = [f"{request.method} {target} HTTP/1.1"]
        names = {name.lower() for name in request.headers}
        if "host" not in names:
            lines.append(f"Host: {endpoint.host_header}")
        lines += [
            f"{name}: {value}"
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP
        ]
        if "content-length" not in names and body:
            lines.append(f"Content-Length: {len(body)}")
        connect, total = _timeouts(request.extensions.get("timeout"))
        exchange = await self._transport.send(
            Request(
                endpoint,
                request.method,
                "\r\n".join([*lines, "", ""]).encode("latin-1"),
                body,
                total,
                connect,
            )
        )
        if exchange.failure_kind is not None or exchange.status_code is None:
            raise _httpx_error(exchange, request)
        if exchange.truncated:
            message = f"the body is longer than {len(exchange.response_body)} bytes"
            raise httpx.ReadError(message, request=request)
        return httpx.Response(
            exchange.status_code,
            headers=[
                (name, value)
                for name, value in message_headers(exchange.response_head)
                # The body is handed over unfolded and whole.
                if name.lower() not in {"content-encoding", "content-length", *_HOP_BY_HOP}
            ],
            content=exchange.response_body,
            request=request,
        )

    async def aclose(self) -> None:
        """Close the engine's transport."""
        await self._transport.aclose()


def _httpx_request(request: Request) -> httpx.Request:
    endpoint = request.endpoint
    line, _, _ = request.head.partition(b"\r\n")
    target = line.split(b" ")[1].decode("latin-1")
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
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
            }
        },
    )


def _head(response: httpx.Response) -> bytes:
    status = f"HTTP/1.1 {response.status_code} {response.reason_phrase}".encode("latin-1")
    return b"\r\n".join([status, *(b"%b: %b" % pair for pair in response.headers.raw)])


def _timeouts(given: Any) -> tuple[float, float]:
    if not given:
        return _NO_TIMEOUT, _NO_TIMEOUT
    connect = given.get("connect") or _NO_TIMEOUT
    parts = [given.get(name) for name in ("connect", "write", "read")]
    total = sum(parts) if all(parts) else _NO_TIMEOUT
    return connect, total


def _httpx_error(exchange: Exchange, request: httpx.Request) -> httpx.TransportError:
    text = exchange.error or "the exchange failed"
    kind: type[httpx.TransportError]
    if exchange.failure_kind is FailureKind.TIMEOUT:
        connecting = exchange.remote_address is None
        kind = httpx.ConnectTimeout if connecting else httpx.ReadTimeout
    elif exchange.failure_kind in {FailureKind.BLOCKED, FailureKind.MISCONFIGURED}:
        kind = httpx.UnsupportedProtocol
    elif exchange.failure_kind in {FailureKind.DNS, FailureKind.TLS} or exchange.remote_address is None:
        kind = httpx.ConnectError
    elif exchange.first_byte_ms is None:
        kind = httpx.ReadError
    else:
        kind = httpx.RemoteProtocolError
    return kind(text, request=request)
