"""Pool of sessions for all statements of the engine.

Waiting for a session has a deadline, as every statement has. After an error that makes a session
unusable, the session is closed. If the error reports that the server stops or is read-only, all
open sessions are closed. After a missed deadline, the sessions without a response since are closed.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from delivery.errors import (
    DatabaseError,
    DatabaseUnavailable,
    PoolExhausted,
    PreparedStatementsLost,
    ReadOnlyDatabase,
    TooManyConnections,
)
from delivery.store.driver.acquired import Acquired
from delivery.store.driver.errors import Harm
from delivery.store.driver.urgency import is_urgent
from delivery.store.driver.waiters import Turns
from delivery.store.statements import statement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from delivery.store.driver.session import Session

__all__ = ["Pool"]

logger = logging.getLogger(__name__)

_DOUBTFUL: Final = 20.0
"""Seconds without use after which a session is tested before its next use."""
_ASKED: Final = 2.0
"""Seconds for this test."""
_UNUSED: Final = 300.0
"""Seconds without use after which a session is closed, unless it is the last one."""
_LIFETIME: Final = 600.0
"""Seconds after which a session is replaced, since its host name can lead to another server."""
_READ_ONLY_LIFETIME: Final = 2.0
"""The same for a session that took no writes when it was opened."""
_LOOK: Final = 60.0
_FULL: Final = 1.0
"""Seconds until the next connection after the server has refused one."""
_CLOSING: Final = 1.0
"""Seconds for an orderly close of all sessions."""

_CLOSED: Final = "the engine is closed; use it within its `async with` block"

_T = TypeVar("_T")


class Pool:
    """Up to `size` sessions to one database; the session used last is used first.

    Args:
        open_session: Opens a session, or raises a `DatabaseError`.
        size: Maximum number of sessions.
        acquire_timeout: Maximum wait for a session, in seconds.
    """

    def __init__(
        self,
        open_session: Callable[[], Awaitable[Session]],
        *,
        size: int,
        acquire_timeout: float,
    ) -> None:
        self._open_session = open_session
        self._size = size
        self._acquire_timeout = acquire_timeout
        self._idle: list[Session] = []
        self._busy: set[Session] = set()
        self._opening = 0
        self._turns = Turns()
        self._generation = 0
        self._full_until = 0.0
        """Time until which no session is opened, since the server has refused one."""
        self._closed = False
        self._released = asyncio.Event()
        self._trimming: asyncio.TimerHandle | None = None
        self._closings: set[asyncio.Task[None]] = set()

    async def fetch(
        self,
        query: str,
        *args: object,
        timeout: float | None = None,
        record_class: Any = None,
    ) -> list[Any]:
        """Run a statement on one of the sessions and return its rows."""
        return await self._run(
            lambda session: session.fetch(query, *args, timeout=timeout, record_class=record_class)
        )

    async def fetchrow(self, query: str, *args: object, timeout: float | None = None) -> Any:
        """Run a statement on one of the sessions and return its first row."""
        return await self._run(lambda session: session.fetchrow(query, *args, timeout=timeout))

    async def fetchval(
        self, query: str, *args: object, column: int = 0, timeout: float | None = None
    ) -> Any:
        """Run a statement on one of the sessions and return a value of its first row."""
        return await self._run(
            lambda session: session.fetchval(query, *args, column=column, timeout=timeout)
        )

    async def execute(self, query: str, *args: object, timeout: float | None = None) -> str:
        """Run a statement on one of the sessions."""
        return await self._run(lambda session: session.execute(query, *args, timeout=timeout))

    def acquire(self) -> Acquired:
        """Return a context manager that acquires a session; awaited, it returns the session."""
        return Acquired(self._take, self._give_back)

    async def release(self, session: Session) -> None:
        """Return an acquired session to the pool."""
        self._give_back(session)

    def expire(self) -> None:
        """Close all open sessions; sessions in use are closed when they return."""
        self._generation += 1
        for session in self._idle:
            session.terminate()
        self._idle.clear()
        self._serve()

    def distrust(self, seconds: float) -> None:
        """Close the idle sessions without a response for this number of seconds."""
        self._distrust_before(asyncio.get_running_loop().time() - seconds)

    def get_max_size(self) -> int:
        """Return the maximum number of sessions."""
        return self._size

    def get_size(self) -> int:
        """Return the number of sessions, including sessions that are being opened."""
        return len(self._idle) + len(self._busy) + self._opening

    async def close(self, timeout: float = _CLOSING) -> None:
        """Wait for sessions in use, close all, and stop waiting after `timeout` seconds."""
        self._closed = True
        self._stop_waiting()
        try:
            async with asyncio.timeout(timeout):
                while self._busy or self._opening:
                    self._released.clear()
                    await self._released.wait()
                await asyncio.gather(*(session.close() for session in self._idle))
                while self._closings:
                    await asyncio.wait(self._closings)
        except TimeoutError:
            logger.debug("connections were closed without waiting for the server")
        finally:
            self.terminate()

    def terminate(self) -> None:
        """Close all sessions immediately."""
        self._closed = True
        self._stop_waiting()
        for session in (*self._idle, *self._busy):
            session.terminate()
        self._idle.clear()
        for task in self._closings:
            task.cancel()

    async def __aenter__(self) -> Self:
        """Use the pool, and close it at the end of the block."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the pool."""
        await self.close()

    async def _run(self, call: Callable[[Session], Awaitable[_T]]) -> _T:
        """Run a statement; repeat it on another session if this session refused it."""
        session = await self._take()
        try:
            return await call(session)
        except (ReadOnlyDatabase, PreparedStatementsLost):
            # This session is new, so another one would report the same.
            if session.fresh:
                raise
        finally:
            self._give_back(session)
        async with self.acquire() as other:
            return await call(other)

    async def _take(self) -> Session:
        """Take the session used last, open a session, or wait for one."""
        self._refuse_if_closed()
        urgent = is_urgent()
        has_slot = False
        while True:
            if not has_slot:
                session = await self._take_idle()
                if session is not None:
                    return session
                has_slot = self._has_room(urgent=urgent)
                self._opening += has_slot
            if has_slot:
                try:
                    return await self._open()
                except TooManyConnections:
                    has_slot = False
                    if not self._busy and not self._idle:
                        self._serve()
                        raise
                    # Continue with the existing sessions; one may have become idle meanwhile.
                    self._full_until = asyncio.get_running_loop().time() + _FULL
                    continue
            given = await self._turn(urgent=urgent)
            if given is not None:
                return given
            has_slot = True

    async def _take_idle(self) -> Session | None:
        """Take the idle session used last; return None if no idle session is usable."""
        while self._idle:
            session = self._idle.pop()
            now = asyncio.get_running_loop().time()
            if session.is_closed():
                continue
            if now > session.use_until:
                self._close_later(session)
                continue
            self._busy.add(session)
            if now - session.heard_at < _DOUBTFUL or await self._responds(session):
                return session
        return None

    def _has_room(self, *, urgent: bool) -> bool:
        """Return True if another session may be opened."""
        if self._full_until and self._busy:
            if asyncio.get_running_loop().time() < self._full_until:
                return False
            self._full_until = 0.0
        return self.get_size() < self._size + urgent

    async def _responds(self, session: Session) -> bool:
        """Test a session that was not used for some time; release it if it does not respond."""
        try:
            await session.execute(statement("ping"), timeout=_ASKED)
        except DatabaseError as error:
            logger.debug("an idle connection no longer works: %s", error)
            session.terminate()
            self._give_back(session)
            return False
        except BaseException:
            self._give_back(session)
            raise
        return True

    async def _open(self) -> Session:
        """Open a session that the caller has already counted in `_opening`."""
        generation = self._generation
        try:
            session = await self._open_session()
        except TooManyConnections:
            # The other waiters would get the same error.
            self._opening -= 1
            raise
        except BaseException:
            self._opening -= 1
            self._serve()
            raise
        self._opening -= 1
        session.generation = generation
        session.watch(self._harmed)
        lifetime = _READ_ONLY_LIFETIME if session.is_read_only() else _LIFETIME
        session.use_until = asyncio.get_running_loop().time() + lifetime
        self._busy.add(session)
        if self._closed:
            self._give_back(session)
            self._refuse_if_closed()
        return session

    async def _turn(self, *, urgent: bool) -> Session | None:
        """Wait for a session, or for None as permission to open one, in order of arrival."""
        turn = self._turns.join(urgent=urgent)
        try:
            async with asyncio.timeout(self._acquire_timeout):
                return await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._hand_back(turn.result())
            if isinstance(error, TimeoutError):
                message = (
                    f"no connection became free within {self._acquire_timeout:g} s; all"
                    f" {self._size} are in use: raise database.pool_size"
                )
                raise PoolExhausted(message) from error
            raise
        finally:
            self._turns.leave(turn)

    def _hand_back(self, granted: Session | None) -> None:
        """Take a session back from a cancelled waiter."""
        if granted is not None:
            self._give_back(granted)
        else:
            self._opening -= 1
            self._serve()

    def _serve(self) -> None:
        """Serve the waiters with sessions and permissions to open one.

        This runs in the context of any code that returns a session, so the urgency comes from the
        wait and not from the context.
        """
        self._released.set()
        while not self._closed and (first := self._turns.first()) is not None:
            turn, urgent = first
            granted: Session | None = None
            if self._idle:
                granted = self._idle.pop()
                if granted.is_closed():
                    continue
                self._busy.add(granted)
            elif self._has_room(urgent=urgent):
                self._opening += 1
            else:
                return
            turn.set_result(granted)

    def _give_back(self, session: Session) -> None:
        if session not in self._busy:
            return
        self._busy.discard(session)
        session.fresh = False
        if session.is_closed() or self._closed or session.is_occupied():
            # The server rolls back open transactions when their connection ends.
            session.terminate()
        elif (
            session.spoiled
            or session.generation != self._generation
            or self.get_size() >= self._size
        ):
            self._close_later(session)
        else:
            self._idle.append(session)
            if self._trimming is None:
                loop = asyncio.get_running_loop()
                self._trimming = loop.call_later(_LOOK, self._trim)
        self._serve()

    def _harmed(self, session: Session, harm: Harm) -> None:
        if harm is Harm.SERVER and session.generation == self._generation:
            logger.debug("all connections to the database are made again")
            self.expire()
        elif harm is Harm.SILENT:
            self._distrust_before(session.began_at)

    def _distrust_before(self, since: float) -> None:
        # If the server is only slow, sessions that have responded meanwhile remain.
        for session in [session for session in self._idle if session.heard_at <= since]:
            self._idle.remove(session)
            session.terminate()
        self._serve()

    def _trim(self) -> None:
        """Close sessions that were not used for a long time, except the last one."""
        loop = asyncio.get_running_loop()
        self._trimming = None
        while len(self._idle) > 1 and loop.time() - self._idle[0].heard_at > _UNUSED:
            self._close_later(self._idle.pop(0))
        if self._idle and not self._closed:
            self._trimming = loop.call_later(_LOOK, self._trim)

    def _close_later(self, session: Session) -> None:
        task = asyncio.get_running_loop().create_task(session.close())
        self._closings.add(task)
        task.add_done_callback(self._closings.discard)

    def _stop_waiting(self) -> None:
        if self._trimming is not None:
            self._trimming.cancel()
            self._trimming = None
        while (first := self._turns.first()) is not None:
            first[0].set_exception(DatabaseUnavailable(_CLOSED))

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise DatabaseUnavailable(_CLOSED)
