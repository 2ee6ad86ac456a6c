"""Sessions acquired from the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from delivery.store.driver.session import Session

__all__ = ["Acquired"]


class Acquired:
    """Session for the duration of a block or, if awaited, until the pool's `release`."""

    __slots__ = ("_give_back", "_session", "_take")

    def __init__(
        self,
        take: Callable[[], Coroutine[Any, Any, Session]],
        give_back: Callable[[Session], None],
    ) -> None:
        self._take = take
        self._give_back = give_back
        self._session: Session | None = None

    def __await__(self) -> Generator[Any, None, Session]:
        return self._take().__await__()

    async def __aenter__(self) -> Session:
        self._session = await self._take()
        return self._session

    async def __aexit__(self, *error: object) -> None:
        if self._session is not None:
            self._give_back(self._session)
            self._session = None
