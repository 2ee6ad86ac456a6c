"""Reads that continue after an outage of the database."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, TypeVar

from delivery.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["read_patiently"]

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

_FIRST_PAUSE: Final = 0.1
_LAST_PAUSE: Final = 2.0


async def read_patiently(read: Callable[[], Awaitable[_T]]) -> _T:
    """Read, and retry while the database is unavailable. Log the start and the end of an outage.

    Raises:
        DatabaseError: If the error is permanent, such as missing rights.
    """
    pause = _FIRST_PAUSE
    away = False
    while True:
        try:
            found = await read()
        except DatabaseError as error:
            if not error.transient:
                raise
            if not away:
                logger.warning("waiting for the database: %s", error)
            away = True
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_PAUSE)
        else:
            if away:
                logger.warning("the database responds again")
            return found
