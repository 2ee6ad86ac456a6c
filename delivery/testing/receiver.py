"""A real HTTP/1.1 server on loopback that behaves as it is told and remembers what arrived."""

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
    """Listens while its `async with` block lasts.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0: a free one.
        default: What paths without an endpoint do; by default they answer 404.
        keep: How many of the newest requests `received` holds; all are counted.
        ssl_context: Speak TLS with it.
        on_request: Called with every request, and what becomes of it, before it is answered.

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
        """The port it listens on, once it does."""
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
        """Say what `path` does from now on; returns its URL once the receiver listens.

        Raises:
            ValueError: if the path does not start with a slash, or has a query.
        """
        if not path.startswith("/") or "?" in path:
            message = f"an endpoint's path starts with / and has no query: {path!r}"
            raise ValueError(message)
        self._endpoints[path] = behaviour
        return self.url(path)

    def url(self, path: str = "/") -> str:
        """The URL of a path."""
        scheme = "http" if self._ssl is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}{path}"

    @property
    def received(self) -> list[ReceivedRequest]:
        """The newest requests, oldest first."""
        return list(self._received)

    @property
    def counts(self) -> Mapping[tuple[str, str], int]:
        """Requests since the start by path and `webhook-id` (empty for those without)."""
        return self._of_message

    def count(self, path: str | None = None) -> int:
        """Requests since the start, to one path or to all."""
        return self._total if path is None else self._of_path[path]

    async def wait_for(
        self, count: int, timeout: float = 10.0, *, path: str | None = None
    ) -> list[ReceivedRequest]:
        """Wait until this many requests have arrived since the start, and return `received`.

        Raises:
            TimeoutError: if they have not within `timeout` seconds; the text says what has.
        """
        try:
            async with asyncio.timeout(timeout):
                while self.count(path) < count:
                    self._arrival.clear()
                    await self._arrival.wait()
        except TimeoutError:
            arrived = ", ".join(f"{n} to {key}" for key, n in self._of_path.items()) or "nothing"
            where = "" if path is None else f" to {path}"
            asked = counted(count, "request")
            message = f"no {asked}{where} within {plain_number(timeout)} s; arrived: {arrived}"
            raise TimeoutError(message) from None
        return [request for request in self._received if path is None or request.path == path]

    async def wait_for_responses(self) -> None:
        """Wait until no request is without its answer; one that hangs never gets any."""
        while self._unsettled > 0:
            self._settlement.clear()
            await self._settlement.wait()

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            AddressInUse: if another program listens on the port.
            InvalidInput: if the address or port cannot be used for another reason.
        """
        if not 0 <= self.port <= _MAX_PORT:
            message = f"port {self.port} does not exist; choose one from 0 to {_MAX_PORT}"
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
        """Stop listening and cut all connections; answers already written still go out."""
        assert self._server is not None
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        await self._server.wait_closed()

    # What connections call.

    def opened(self, connection: ReceiverConnection) -> None:
        """Remember a connection, to cut it at the end."""
        self._connections.add(connection)

    def closed(self, connection: ReceiverConnection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)

    def arrived(self, request: ReceivedRequest) -> Step:
        """Record and count a request; what is to be done with it."""
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
        """Count the requests that have had their answers, or can have none any more."""
        self._unsettled -= requests
        self._settlement.set()


def _cannot_listen(host: str, port: int, error: OSError) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return AddressInUse(
            f"port {port} of {host} is in use by another program; end it, or choose another port"
            " (0: a free one)"
        )
    # asyncio puts the address and the reason into `strerror` when it cannot bind.
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error
    return InvalidInput(f"cannot listen on port {port} of {host}: {reason}; choose another")
