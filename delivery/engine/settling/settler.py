"""Settler: collects the results of jobs, and writes them in batches, one batch at a time.

While one batch is being written, the next one gathers, so batches grow with the load. A batch that
the database refuses is divided until the results that cause the refusal are found; the others are
written immediately. Results that cannot be written now are parked by cause and retried, while new
results are written. No result is dropped before it is written.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from delivery.engine.events import emit_results
from delivery.engine.settling.parked import GroupKey, Parked
from delivery.engine.settling.repairs import (
    day_of,
    days_between,
    redated,
    with_storable_values,
    without_exchange,
)
from delivery.store import partitions
from delivery.store.driver.failures import Cause, Refusal, cause_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from delivery.clock import Clock
    from delivery.engine.events import EventBus
    from delivery.engine.settling.disabling import Disabling
    from delivery.engine.settling.writer import SettleWriter
    from delivery.queue.held_leases import HeldJob, HeldLeases
    from delivery.store.driver.connection import Pool
    from delivery.store.settlements import Settled, Settlement

__all__ = ["Settler"]

logger = logging.getLogger(__name__)

_BATCH: Final = 500
_OF_A_MOMENT: Final = frozenset({Refusal.MOMENT, Refusal.CONFLICT, Refusal.ALREADY_THERE})
"""Refusals that a repeated statement may avoid, because it sees more recent rows."""

_REFUSALS_IN_A_ROW: Final = 24
"""Statements without a success after which the rest of a batch waits. A single refused result of a
batch is found within nine statements."""


_ADVICE: Final = {
    "25006": "the database is read-only",
    "42501": "the role of this process lacks rights on the tables of the schema delivery",
    "42P01": "a table is missing; delivery migrate names the differences of the schema",
    "42703": "a column is missing; delivery migrate names the differences of the schema",
    "42704": "a type is missing; delivery migrate names the differences of the schema",
}
"""Advice by SQLSTATE."""


@dataclass(slots=True)
class _Part:
    """Results of one statement."""

    results: Sequence[Settlement]
    key: GroupKey | None = None
    """Group that they come from."""
    repeated: bool = False
    """True if the same statement was tried before, in case its refusal was momentary."""
    step: int = 0
    """Changes made to each result: 1 storable values, 2 without exchange, 3 without log row."""


class Settler:
    """Writer of all results of a worker.

    Args:
        pool: Database, for missing partitions.
        clock: Shows whether a log id was made while the clock was wrong.
        held: Leases of this worker.
        writer: Writes a batch.
        disabling: Disables reactions after their endpoint is gone.
        events: Receives the results that were written.
    """

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        held: HeldLeases,
        writer: SettleWriter,
        disabling: Disabling,
        events: EventBus,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._held = held
        self._writer = writer
        self._disabling = disabling
        self._events = events
        self._waiting: list[Settlement] = []
        self._parts: list[_Part] = []
        """Batches being written, the next part last. A part is removed once it is written, divided
        or parked, so an error or a cancellation at any point loses nothing."""
        self._parked = Parked()
        self._parked_next = False
        self._stalled_until = 0.0
        """Time before which no statement is tried, while a cause concerns every statement."""
        self._written_at = 0.0
        self._refusals = 0
        """Number of refused statements since the last success."""
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, settlement: Settlement) -> None:
        """Add a result; it is written soon."""
        if not self._waiting:
            self._work.set()
            self._idle.clear()
        self._waiting.append(settlement)

    def disable(self, reaction_id: UUID, reason: str) -> None:
        """Disable a reaction before the next batch is written."""
        self._disabling.add(reaction_id, reason)

    @property
    def unwritten(self) -> int:
        """Number of results that are only in memory."""
        writing = sum(len(part.results) for part in self._parts)
        return len(self._waiting) + writing + len(self._parked)

    def jobs(self) -> Iterable[HeldJob]:
        """Return the jobs of the results that are only here."""
        held: list[Iterable[Settlement]] = [self._waiting, self._parked]
        held += [part.results for part in self._parts]
        for results in held:
            for result in results:
                yield result.lease_id, result.job_id

    async def drained(self) -> None:
        """Wait until all results are written; try parked ones immediately."""
        self._parked.hurry(time.monotonic())
        self._stalled_until = 0.0
        self._work.set()
        await self._idle.wait()

    def try_again(self) -> None:
        """Retry results that wait because no statement succeeded: another one just did."""
        if self._stalled_until:
            self._stalled_until = 0.0
            self._parked.hurry(time.monotonic())
            self._work.set()

    async def run(self) -> None:
        """Write results until cancelled."""
        while True:
            # Parts remain only after an error ended this task.
            await self._write_parts()
            await self._until_work()
            await self._begin_parts()
            await self._write_parts()
            if not self._waiting and not len(self._parked):
                self._work.clear()
                self._idle.set()

    async def _until_work(self) -> None:
        while True:
            now = time.monotonic()
            at = now if self._waiting else self._parked.next_due()
            if at is not None and max(at, self._stalled_until) <= now:
                return
            self._work.clear()
            delay = None if at is None else max(at, self._stalled_until) - now
            try:
                async with asyncio.timeout(delay):
                    await self._work.wait()
            except TimeoutError:
                pass

    async def _begin_parts(self) -> None:
        """Take the next results: alternately new ones and a parked group."""
        key = self._parked.due(time.monotonic())
        if key is not None and (self._parked_next or not self._waiting):
            self._parked_next = False
            await self._begin_parked(key)
            return
        self._parked_next = True
        batch = self._waiting[:_BATCH]
        self._parts.append(_Part(self._without_parked_days(batch)))
        del self._waiting[: len(batch)]

    def _without_parked_days(self, batch: list[Settlement]) -> list[Settlement]:
        """Remove and park results of a known cause, so that no statement is wasted on them."""
        days = self._parked.days()
        if not days:
            return batch
        kept = []
        for result in batch:
            key = days.get(day_of(result) or -1)
            if key is None:
                kept.append(result)
            else:
                self._parked.add(key, result)
        return kept

    async def _begin_parked(self, key: GroupKey) -> None:
        if key.day is not None and days_between(key.day, self._clock.now()) <= 1:
            await self._make_partitions()
        results = self._parked.take(key, _BATCH)
        self._parts.append(_Part(results, key, step=key.step))
        if key.day is not None and days_between(key.day, self._clock.now()) > 1:
            # No partition will be made for that day.
            now = self._clock.now()
            self._parts[-1].results = [redated(result, now) for result in results]

    async def _make_partitions(self) -> None:
        try:
            made = await partitions.ensure_partitions(self._pool, 1)
        except Exception as error:  # noqa: BLE001 - most often a role without the right to do it
            logger.info("cannot make partitions: %s", text_of(error))
        else:
            if made:
                logger.warning("%d partitions were missing and have been made", made)

    async def _write_parts(self) -> None:
        """Write the batches begun, until each result is written or parked."""
        while self._parts:
            part = self._parts[-1]
            if not part.results:
                self._parts.pop()
                continue
            try:
                settled = await self._settle(part)
            except Exception as error:  # noqa: BLE001 - also unforeseen errors
                self._after_refusal(part, error)
            else:
                self._parts.pop()
                self._written(part, settled)
        for key in self._parked.prune():
            logger.warning("no more results wait for this reason: %s", _advice(key.cause))

    async def _settle(self, part: _Part) -> Settled:
        await self._disabling.before_results()
        if part.repeated or (part.key is not None and part.key.cause.refusal is Refusal.MOMENT):
            return await self._writer.settle_carefully(part.results)
        return await self._writer.settle(part.results)

    def _written(self, part: _Part, settled: Settled) -> None:
        self._written_at = now = time.monotonic()
        self._refusals = 0
        if self._stalled_until:
            self._stalled_until = 0.0
            self._parked.hurry(now)
        elif part.key is not None:
            self._parked.eased(part.key, now)
        self._held.settled(part.results)
        emit_results(self._events, part.results, settled.recovering or ())

    def _after_refusal(self, part: _Part, error: Exception) -> None:
        """Choose the next try: with fewer results, with a changed result, or later."""
        self._refusals += 1
        cause = cause_of(error)
        same = part.key if part.key is not None and part.key.cause == cause else None
        if same is not None and same.day is not None and _all_of(part.results, same.day):
            self._parts.pop()
            self._park(same, part.results, error)
        elif not cause.of_one and not self._is_disproved(same):
            self._park_all(GroupKey(cause), error)
            self._stalled_until = self._parked.due_at(GroupKey(cause, step=part.step))
        elif cause.refusal in _OF_A_MOMENT and not part.repeated:
            part.repeated = True
        elif self._refusals > _REFUSALS_IN_A_ROW:
            self._park_all(GroupKey(cause), error)
        elif len(part.results) > 1:
            middle = len(part.results) // 2
            halves = (part.results[middle:], part.results[:middle])
            self._parts[-1:] = [_Part(half, part.key, part.repeated, part.step) for half in halves]
        else:
            self._after_refusal_of_one(part, cause, error)

    def _is_disproved(self, key: GroupKey | None) -> bool:
        """Return whether other results were written since these were refused for their cause.

        Then the cause does not concern every statement, but one of these results.
        """
        return key is not None and self._written_at > self._parked.refused_at(key)

    def _after_refusal_of_one(self, part: _Part, cause: Cause, error: Exception) -> None:
        (result,) = part.results
        if cause.refusal is Refusal.VALUE and part.step == 0:
            part.step = 1
            if (better := with_storable_values(result)) != result:
                part.results = [better]
                return
        if cause.refusal is Refusal.VALUE and part.step == 1:
            logger.critical(
                "the database refused the result of job %s; writing it without its exchange: %s",
                result.job_id,
                text_of(error),
            )
            part.step, part.results = 2, [without_exchange(result, text_of(error))]
        elif cause.refusal is Refusal.ALREADY_THERE and result.log_id:
            # The row was written with the same id, so the attempt is logged.
            part.step, part.results = 3, [result._replace(log_id=None)]
        elif cause.is_missing_partition:
            self._park_day(GroupKey(cause, day_of(result)), error)
        else:
            self._parts.pop()
            self._park(GroupKey(cause, step=part.step), part.results, error)

    def _park_day(self, key: GroupKey, error: Exception) -> None:
        """Move all results of a day without a partition to their group."""
        for part in self._parts:
            of_day = [result for result in part.results if day_of(result) == key.day]
            if of_day:
                part.results = [result for result in part.results if day_of(result) != key.day]
                self._park(key, of_day, error)

    def _park_all(self, key: GroupKey, error: Exception) -> None:
        """Move all results that are being written to their groups."""
        while self._parts:
            part = self._parts.pop()
            self._park(key._replace(step=part.step), part.results, error)

    def _park(self, key: GroupKey, results: Sequence[Settlement], error: Exception) -> None:
        if self._parked.park(key, results, time.monotonic()):
            logger.log(
                logging.WARNING if key.cause.refusal is Refusal.MOMENT else logging.CRITICAL,
                "cannot write %d results (%s: %s); retrying; further errors are not logged",
                len(results),
                _advice(key.cause),
                text_of(error),
            )


def _all_of(results: Sequence[Settlement], day: int) -> bool:
    return all(day_of(result) == day for result in results)


def _advice(cause: Cause) -> str:
    if cause.is_missing_partition:
        return f"{cause.table} has no partition for that day; delivery migrate makes missing ones"
    return _ADVICE.get(cause.sqlstate or "", f"cause: {cause.refusal}")
