"""`engine.logs`: read delivery logs."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, TypedDict
from uuid import UUID

from delivery.errors import InvalidInput, NotFound
from delivery.models import DeliveryLog, Outcome, Page
from delivery.service.checks import (
    check_flag,
    check_id,
    check_status_code,
    check_tenant,
    check_word,
)
from delivery.service.cursors import MAX_PAGE, check_limit, decode_cursor, page_of
from delivery.service.outage_tolerance import read_patiently
from delivery.spelling import did_you_mean
from delivery.store import logs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from typing import Unpack

    from delivery.clock import Clock
    from delivery.settings import Settings
    from delivery.store.driver.connection import Pool

__all__ = ["LogFilter", "Logs"]

_FOLLOW_PAUSE: Final = 0.3
_LATE_COMMITS: Final = 10.0
"""Maximum delay in seconds between the id of a row and its commit."""


class LogFilter(TypedDict, total=False):
    """Filters of log rows, combined by AND."""

    tenant_id: str
    job_id: UUID | str | None
    trigger_id: UUID | str | None
    reaction_id: UUID | str | None
    outcome: str | None
    status_code: int | None


class Logs:
    """Verbs for delivery logs. Each call is scoped by `tenant_id`."""

    def __init__(self, pool: Pool, clock: Clock, settings: Settings) -> None:
        self._pool = pool
        self._clock = clock
        self._max_body = settings.log.max_body

    async def get(self, log_id: UUID | str, *, tenant_id: str = "default") -> DeliveryLog:
        """Return one log row.

        Raises:
            NotFound: If this tenant has none with this id.
        """
        key = check_id("log id", log_id)
        found = await logs.get(self._pool, key, check_tenant(tenant_id), max_body=self._max_body)
        if found is None:
            message = f"there is no delivery log {key} in tenant {tenant_id!r}"
            raise NotFound(message)
        return found

    async def list(
        self,
        *,
        oldest_first: bool = False,
        limit: int = 50,
        cursor: str | None = None,
        **where: Unpack[LogFilter],
    ) -> Page[DeliveryLog]:
        """List log rows by time, newest first unless `oldest_first`."""
        found = await self._read(
            where, decode_cursor(cursor), oldest_first=oldest_first, limit=check_limit(limit) + 1
        )
        return page_of(found, limit)

    async def iterate(
        self, *, oldest_first: bool = True, **where: Unpack[LogFilter]
    ) -> AsyncIterator[DeliveryLog]:
        """Yield all log rows, page by page."""
        async for log in self._read_all(where, None, oldest_first=oldest_first):
            yield log

    async def follow(self, **where: Unpack[LogFilter]) -> AsyncIterator[DeliveryLog]:
        """Yield new log rows without end, also after outages of the database."""
        now = self._clock.now()
        start = _first_id(now)
        seen: set[UUID] = set()
        horizon = _first_id(now - _LATE_COMMITS)
        async for log in self._read_all(where, horizon, oldest_first=True, patient=True):
            if log.id < start:
                seen.add(log.id)
        while True:
            horizon = _first_id(self._clock.now() - _LATE_COMMITS)
            async for log in self._read_all(where, horizon, oldest_first=True, patient=True):
                if log.id not in seen:
                    seen.add(log.id)
                    yield log
            seen = {log_id for log_id in seen if log_id >= horizon}
            await asyncio.sleep(_FOLLOW_PAUSE)

    async def _read_all(
        self, where: LogFilter, after: UUID | None, *, oldest_first: bool, patient: bool = False
    ) -> AsyncIterator[DeliveryLog]:
        while True:
            read = partial(self._read, where, after, oldest_first=oldest_first, limit=MAX_PAGE)
            found = await (read_patiently(read) if patient else read())
            for log in found:
                yield log
            if len(found) < MAX_PAGE:
                return
            after = found[-1].id

    async def _read(
        self, where: LogFilter, after: UUID | None, *, oldest_first: bool, limit: int
    ) -> Sequence[DeliveryLog]:
        unknown = sorted(set(where) - set(LogFilter.__annotations__))
        if unknown:
            near = did_you_mean(unknown[0], LogFilter.__annotations__)
            message = f"unknown filter {unknown[0]!r}{near}"
            raise InvalidInput(message)

        def id_of(name: str, value: UUID | str | None) -> UUID | None:
            return None if value is None else check_id(name, value)

        return await logs.list_page(
            self._pool,
            tenant_id=check_tenant(where.get("tenant_id", "default")),
            after=after,
            job_id=id_of("job id", where.get("job_id")),
            trigger_id=id_of("trigger id", where.get("trigger_id")),
            reaction_id=id_of("reaction id", where.get("reaction_id")),
            outcome=check_word("outcome", where.get("outcome"), Outcome),
            status_code=check_status_code(where.get("status_code")),
            oldest_first=check_flag("oldest_first", oldest_first),
            limit=limit,
            max_body=self._max_body,
        )


def _first_id(epoch: float) -> UUID:
    """Return the smallest possible id of a time."""
    return UUID(int=int(epoch * 1000) << 80)
