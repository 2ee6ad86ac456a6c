"""One connection to PostgreSQL, on which every wait has a timeout.

To abort a statement the driver opens a second connection, asks the server to cancel, and waits for
both. Over a network that drops packets this never ends. A `Session` is discarded instead: its
socket is closed immediately, and its waiting statement fails. The request to cancel is still sent,
in the background and for a short time, so that the server does not complete an abandoned statement.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any, Final, TypeVar

import asyncpg
from asyncpg import connect_utils

from delivery.errors import StatementTimeout
from delivery.store.driver.errors import Harm, redact_error, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

__all__ = ["Session"]

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_FAREWELL: Final = 0.5
"""Seconds for an orderly close."""
_CANCEL: Final = 3.0
"""Seconds for a request to cancel in the background."""
_MAX_CANCELS: Final = 32
_STALLED: Final = 0.5
"""Delay of a timer, in seconds, that shows that the event loop or the process was stopped."""
_KEEPALIVE: Final = (
    ("TCP_KEEPIDLE", 10),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 20_000),
)
"""The last is the time in milliseconds for which packets may remain unacknowledged."""

_cancels: set[asyncio.Task[None]] = set()


if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    # At run time the class of the driver takes no type parameters.
    _Connection = asyncpg.Connection


class Session(_Connection):
    """Connection whose statements have a deadline and raise this package's errors.

    Attributes:
        statement_timeout: Default timeout of a statement, in seconds.
        use_until: Time when its pool replaces it, by the event loop's clock.
        fresh: True until the session first returns to its pool.
        generation: Generation of its pool.
        heard_at: Time of the last successful statement, by the event loop's clock.
        began_at: Start of the last statement.
        spoiled: True if it must not be used again after its transaction.
    """

    __slots__ = (
        "_clock",
        "_due",
        "_missed",
        "_on_harm",
        "_peer",
        "_stalled",
        "_timer",
        "began_at",
        "fresh",
        "generation",
        "heard_at",
        "spoiled",
        "statement_timeout",
        "use_until",
    )

    def __init__(
        self,
        protocol: Any,
        transport: Any,
        loop: asyncio.AbstractEventLoop,
        addr: Any,
        config: Any,
        params: Any,
    ) -> None:
        """Take the arguments that the driver passes to its connections."""
        super().__init__(protocol, transport, loop, addr, config, params)
        self._clock = loop
        self._peer: dict[str, Any] = {
            "loop": loop,
            "addr": addr,
            "params": params,
            "backend_pid": protocol.backend_pid,
            "backend_secret": protocol.backend_secret,
        }
        self.statement_timeout: float = 30.0
        self.fresh = True
        self.spoiled = False
        self.generation = 0
        self.heard_at = loop.time()
        self.began_at = 0.0
        self.use_until = 0.0
        self._on_harm: Callable[[Session, Harm], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._missed = False
        self._stalled = False
        _detect_dead_peer(transport)

    def watch(self, on_harm: Callable[[Session, Harm], None]) -> None:
        """Call `on_harm` when an error shows that this session or its server is unusable."""
        self._on_harm = on_harm

    def is_read_only(self) -> bool:
        """Return True if the server has reported that this session takes no writes."""
        settings = self.get_settings()
        return "on" in {
            getattr(settings, name, "off")
            for name in ("in_hot_standby", "default_transaction_read_only")
        }

    def is_occupied(self) -> bool:
        """Return True during a statement or a transaction."""
        return self._timer is not None or self.is_in_transaction()

    async def fetch(
        self,
        query: str,
        *args: object,
        timeout: float | None = None,
        record_class: Any = None,
    ) -> list[Any]:
        """Run a statement and return its rows."""
        return await self._bounded(super().fetch(query, *args, record_class=record_class), timeout)

    async def fetchrow(
        self,
        query: str,
        *args: object,
        timeout: float | None = None,
        record_class: Any = None,
    ) -> Any:
        """Run a statement and return its first row."""
        return await self._bounded(
            super().fetchrow(query, *args, record_class=record_class), timeout
        )

    async def fetchval(
        self, query: str, *args: object, column: int = 0, timeout: float | None = None
    ) -> Any:
        """Run a statement and return a value of its first row."""
        return await self._bounded(super().fetchval(query, *args, column=column), timeout)

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        """Run a statement, or several without arguments."""
        return await self._bounded(super().execute(query, *args), timeout)

    async def executemany(
        self, command: str, args: Iterable[Sequence[object]], *, timeout: float | None = None
    ) -> None:
        """Run a statement for each sequence of arguments."""
        await self._bounded(super().executemany(command, args), timeout)

    async def close(self, *, timeout: float | None = None) -> None:
        """Close the connection in an orderly way, or immediately if the server does not respond."""
        try:
            async with asyncio.timeout(_FAREWELL if timeout is None else timeout):
                await super().close()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            logger.debug("a connection was closed without the server: %s", error)
        finally:
            self.terminate()

    async def _bounded(self, statement: Coroutine[Any, Any, _T], timeout: float | None) -> _T:
        """Await a statement until its deadline, and translate its error."""
        if self._timer is not None:
            # The driver refuses a second, concurrent statement.
            return await statement
        limit = self.statement_timeout if timeout is None else timeout
        loop = asyncio.get_running_loop()
        self.began_at = loop.time()
        self._due = self.began_at + limit
        self._missed = self._stalled = False
        self._timer = loop.call_later(limit, self._miss)
        try:
            result = await statement
        except Exception as error:
            self._raise_translated(error, limit)
            raise
        except BaseException:
            # On cancellation the response is never read.
            self.discard()
            raise
        else:
            self.heard_at = loop.time()
            return result
        finally:
            self._timer.cancel()
            self._timer = None

    def _raise_translated(self, error: Exception, limit: float) -> None:
        """Raise the translated error; return if it is not an error of the driver."""
        if self._missed:
            message = (
                f"the database did not respond within {limit:g} s; whether the statement was"
                " executed is not known; check the network and the server's load, or raise"
                " database.statement_timeout"
            )
            self._report(Harm.SILENT)
            raise StatementTimeout(message) from error
        translation = translate(error)
        if translation is None:
            return
        redact_error(error)
        harm = translation.harm
        if harm is Harm.NONE and self.is_closed():
            harm = Harm.SESSION
        if harm is Harm.SESSION and translation.open and self.is_in_transaction():
            # The transaction can continue after a rollback to a savepoint.
            self.spoiled = True
        elif harm is not Harm.NONE:
            self.terminate()
            self._report(harm)
        raise translation.error from error

    def _report(self, harm: Harm) -> None:
        if self._on_harm is not None:
            self._on_harm(self, harm)

    def _miss(self) -> None:
        """Abort the statement, unless this process was stopped."""
        loop = self._clock
        late = loop.time() - self._due
        if late > _STALLED and not self._stalled:
            # The response may have arrived but not been read.
            self._stalled = True
            self._timer = loop.call_later(_STALLED, self._miss)
            return
        self._missed = True
        self.discard()

    def discard(self) -> None:
        """Close the socket immediately, and ask the server in the background to cancel."""
        if not self.is_closed() and len(_cancels) < _MAX_CANCELS:
            # The driver has no public function for this.
            cancel = connect_utils._cancel(**self._peer)  # type: ignore[attr-defined]  # noqa: SLF001
            task = self._clock.create_task(_briefly(cancel))
            _cancels.add(task)
            task.add_done_callback(_cancels.discard)
        self.terminate()


def _detect_dead_peer(transport: Any) -> None:
    """Make the system close connections to dead peers, even without a statement."""
    found = transport.get_extra_info("socket")
    if found is None or found.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    except OSError as error:
        logger.debug("the socket takes no keepalive: %s", error)


async def _briefly(cancel: Coroutine[Any, Any, None]) -> None:
    """Send a request to cancel, with a short timeout, since the statement has failed anyway."""
    try:
        async with asyncio.timeout(_CANCEL):
            await cancel
    except (OSError, asyncpg.InterfaceError) as error:
        logger.debug("the server was not asked to cancel a statement: %s", error)
