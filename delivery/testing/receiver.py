"""HTTP/1.1 server with programmable behaviour, which records its requests."""

from __future__ import annotations

import asyncio
import errno
import os
from collections import Counter, deque
from typing import TYPE_CHECKING, Final, Self

from delivery.errors import AddressInUse, InvalidInput
from delivery.testing.behaviours import Respond, next_step
from delivery.testing.protocol import ReceivedRequest, ReceiverConnection
from delivery.wording import counted, plain_number

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from delivery.testing.behaviours import Behaviour, Step

__all__ = ["ReceivedRequest", "Receiver"]

_OK: Final = Respond()
_UNKNOWN_PATH: Final = Respond(404, (("Content-Type", "text/plain"),), b"no such endpoint\n")
_MAX_PORT: Final = 65_535
_MAX_REQUEST_BODY: Final = 64 * 1024 * 1024


class Receiver:
    """Receiver that listens inside its `async with` block.

    Args:
        host: Address to listen on.
        port: Port to listen on. 0 for a free port.
        default: Behaviour of paths without an endpoint. Responds with 404 by default.
        keep: Number of the newest requests in `received`. All requests are counted.
        ssl_context: Context for TLS.
        on_request: Called with every request and its step, before the response.

    Example:
        async with Receiver() as receiver:
            receiver.endpoint("/orders", FailFirst(2))
            await engine.reactions.create(name="orders", url=receiver.url("/orders"))
            …
            await receiver.wait_for(3, path="/orders", timeout=10)
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        default: Behaviour = _UNKNOWN_PATH,
        keep: int = 10_000,
        ssl_context: ssl.SSLContext | None = None,
        on_request: Callable[[ReceivedRequest, Step], None] | None = None,
    ) -> None:
        self.host = host
        self.port = port
        """Port of the receiver. Known once it listens."""
        self._default = default
        self._ssl = ssl_context
        self._on_request = on_request
        self._endpoints: dict[str, Behaviour] = {}
        self._received: deque[ReceivedRequest] = deque(maxlen=keep)
        self._total = 0
        self._unsettled = 0
        self._of_path: Counter[str] = Counter()
        self._of_message: Counter[tuple[str, str]] = Counter()
        self._connections: set[ReceiverConnection] = set()
        self._server: asyncio.Server | None = None
        self._arrival = asyncio.Event()
        self._settlement = asyncio.Event()

    def endpoint(self, path: str, behaviour: Behaviour = _OK) -> str:
        """Set the behaviour of `path` and return its URL, which is valid once the receiver listens.

        Raises:
            ValueError: if the path does not start with a slash, or has a query.
        """
        if not path.startswith("/") or "?" in path:
            message = f"the path of an endpoint must start with / and have no query: {path!r}"
            raise ValueError(message)
        self._endpoints[path] = behaviour
        return self.url(path)

    def url(self, path: str = "/") -> str:
        """Return the URL of a path."""
        scheme = "http" if self._ssl is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{path}"

    @property
    def received(self) -> list[ReceivedRequest]:
        """Newest requests, the oldest first."""
        return list(self._received)

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """Number of requests by path and `webhook-id`, which is empty for requests without it."""
        return self._of_message

    def count(self, path: str | None = None) -> int:
        """Return the number of requests to one path, or to all."""
        return self._total if path is None else self._of_path[path]

    async def wait_for(
        self, count: int, timeout: float = 30.0, *, path: str | None = None
    ) -> list[ReceivedRequest]:
        """Wait until this number of requests has arrived since the start, and return `received`.

        Raises:
            TimeoutError: if fewer requests arrive within `timeout` seconds. The message contains
                their numbers.
        """
        try:
            async with asyncio.timeout(timeout):
                while self.count(path) < count:
                    self._arrival.clear()
                    await self._arrival.wait()
        except TimeoutError:
            arrived = ", ".join(f"{n} to {key}" for key, n in self._of_path.items()) or "nothing"
            where = "" if path is None else f" to {path}"
            expected = counted(count, "request")
            message = f"no {expected}{where} within {plain_number(timeout)} s; arrived: {arrived}"
            raise TimeoutError(message) from None
        return [request for request in self._received if path is None or request.path == path]

    async def wait_for_responses(self) -> None:
        """Wait until all requests have a response. Never returns after a `Hang`."""
        while self._unsettled > 0:
            self._settlement.clear()
            await self._settlement.wait()

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            AddressInUse: if another program listens on the port.
            InvalidInput: if the receiver cannot listen for another reason.
        """
        if not 0 <= self.port <= _MAX_PORT:
            message = f"port {self.port} is out of range; use a port from 0 to {_MAX_PORT}"
            raise InvalidInput(message)
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: ReceiverConnection(self, _MAX_REQUEST_BODY),
                self.host,
                self.port,
                ssl=self._ssl,
                backlog=1024,
            )
        except OSError as error:
            raise _cannot_listen(self.host, self.port, error) from error
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening and close all connections, after their pending writes."""
        assert self._server is not None
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        await self._server.wait_closed()

    # Connections call the following methods.

    def opened(self, connection: ReceiverConnection) -> None:
        """Add a connection, which is closed at the end."""
        self._connections.add(connection)

    def closed(self, connection: ReceiverConnection) -> None:
        """Remove a connection."""
        self._connections.discard(connection)

    def arrived(self, request: ReceivedRequest) -> Step:
        """Record a request and return its step."""
        path = request.path
        key = (path, request.webhook_id)
        of_path, of_message = self._of_path[path], self._of_message[key]
        self._total += 1
        self._unsettled += 1
        self._of_path[path] = of_path + 1
        self._of_message[key] = of_message + 1
        self._received.append(request)
        behaviour = self._endpoints.get(path, self._default)
        step = next_step(behaviour, of_path=of_path, of_message=of_message)
        if self._on_request is not None:
            self._on_request(request, step)
        self._arrival.set()
        return step

    def settled(self, requests: int) -> None:
        """Record the number of requests that now have a response, or never will."""
        self._unsettled -= requests
        self._settlement.set()


def _cannot_listen(host: str, port: int, error: OSError) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"port {port} of {host} is in use by another program; stop it, or choose another port"
            " (0 for a free one)"
        )
    # asyncio puts the address and the reason into `strerror` when it cannot bind.
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error
    return InvalidInput(f"cannot listen on port {port} of {host}: {reason}; choose another")
