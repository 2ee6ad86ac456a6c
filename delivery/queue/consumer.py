"""Consumer of the queue: the choice of the next jobs, and their claim.

It knows the lanes with due work from sweeps, from wake-ups, and from the times of known retries.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from delivery.observe.repeated_logs import RepeatedLogs
from delivery.queue.lanes import LaneBook, Retry
from delivery.queue.limited_claims import claim_limited
from delivery.queue.port import Reservation
from delivery.queue.sweeper import Sweeper
from delivery.store import queue
from delivery.store.driver.failures import CONNECTION_ERRORS, is_passing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
    from uuid import UUID

    from delivery.clock import Clock, IdFactory
    from delivery.queue.held_leases import HeldLeases
    from delivery.queue.lanes import Ask
    from delivery.queue.port import JobIntake, JobRunner, ResultWriter
    from delivery.queue.windows import CallEnd
    from delivery.settings import WorkerSettings
    from delivery.store.driver.connection import Pool
    from delivery.store.queue import LaneKey
    from delivery.store.settlements import Settlement

__all__ = ["JobConsumer"]

logger = logging.getLogger(__name__)

_REMEMBERED: Final = 60.0
"""Seconds ahead for which the times of retries stay in memory."""

_MAX_BACKOFF: Final = 5.0

_FAULTY_LANE_PAUSE: Final = 60.0
"""Seconds for which a lane rests that cannot be claimed from."""


class JobConsumer:
    """Claims due jobs, lane by lane, and hands them to the intake: the only claimer of a worker.

    Args:
        pool: Database.
        worker_id: Holder of the leases.
        clock: Dates the times of retries.
        ids: Makes the ids of leases.
        held: Leases of this worker.
        settings: Settings of the worker.
    """

    def __init__(
        self,
        pool: Pool,
        worker_id: UUID,
        clock: Clock,
        ids: IdFactory,
        held: HeldLeases,
        settings: WorkerSettings,
    ) -> None:
        self._pool = pool
        self._worker_id = worker_id
        self._clock = clock
        self._ids = ids
        self._held = held
        self._settings = settings
        self._batch_size = settings.batch_size
        self._max_load = settings.concurrency + settings.batch_size
        self._max_unsettled = settings.max_unsettled
        # While jobs wait for a task anyway, fewer and larger claims cost less.
        self._min_room = max(1, settings.batch_size // 2)
        self._low_load = self._max_load - self._min_room + 1
        """Load of the runner just before there is enough room again."""
        self._book = LaneBook(settings.reaction_concurrency)
        self.set_cap = self._book.set_cap
        """Set the limit of a lane's calls in flight in this process; None for the default."""
        self.sweeper = Sweeper(pool, self._book, settings, self.check)
        """Finds lanes with due work for this consumer. Runs as a role."""
        self._event = asyncio.Event()
        self._stopping = False
        self._failures = RepeatedLogs(logger)
        self._intake: JobIntake
        self._runner: JobRunner
        self._writer: ResultWriter

    def connect(self, intake: JobIntake, runner: JobRunner, writer: ResultWriter) -> None:
        """Set the parts that take, run and settle jobs; they in turn report to this consumer."""
        self._intake = intake
        self._runner = runner
        self._writer = writer

    def stop(self) -> None:
        """End after the claim under way: the jobs of a claim cut off would have to be reaped."""
        self._stopping = True
        self._event.set()

    def wake(self, lanes: Iterable[LaneKey] | None) -> None:
        """Claim from these lanes soon. None: sweep for lanes with due work."""
        if lanes is None:
            self.sweeper.ask()
        else:
            for key in lanes:
                self._book.mark_due(key, fresh=True)
            self._event.set()

    def finished(self, lane: UUID, end: CallEnd) -> None:
        """Note that a job of a lane left the worker, so that there is room for another."""
        # Called for every delivery: a turn that would claim nothing is not worth waking up for.
        if self._book.finished(lane, end) or self._runner.load == self._low_load:
            self._event.set()

    def limit_lanes(self, lanes: Iterable[UUID]) -> None:
        """Observe the limits over all workers in claims from these lanes."""
        self._book.mark_limited(lanes)

    def pause_lane(self, lane: UUID, seconds: float) -> None:
        """Claim nothing from a lane for a while."""
        self._book.rest(lane, time.monotonic() + seconds)

    def check(self) -> None:
        """Check soon whether there is something to claim, and room for it."""
        self._event.set()

    def settled(self, results: Sequence[Settlement]) -> None:
        """Note the due times of jobs that went back to the queue."""
        now, monotonic = self._clock.now(), time.monotonic()
        book, limited = self._book, self._book.limited
        for result in results:
            # Later times are left to sweeps: there may be any number of such lanes.
            if result.run_at is not None and result.run_at - now < _REMEMBERED:
                key = (result.lane, result.priority)
                due = monotonic + result.run_at - now
                book.mark_due_at(key, due)
                if result.log_id is not None:
                    book.failed(key, Retry(result.attempt, due, result.run_at))
            if result.lane in limited:
                book.freed(result.lane)
        self._event.set()

    async def run(self) -> None:
        """Claim until stopped or cancelled."""
        backoff = self._settings.poll_min
        while not self._stopping:
            try:
                await self._turn()
                backoff = self._settings.poll_min
            except CONNECTION_ERRORS as error:
                logger.warning("cannot claim jobs (%s); retrying in %.2f s", error, backoff)
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)

    async def _turn(self) -> None:
        if not self._stopping:
            self._event.clear()
        self._runner.start_waiting()
        now = time.monotonic()
        self._book.fire_timers(now)
        if self._book.due_lanes < self._batch_size:
            # With many lanes, the next ones are found before the known ones run out.
            self.sweeper.ask_for_more()
        capacity = self._capacity()
        if capacity > 0 and self._book.has_due():
            ask = self._book.quotas(capacity, now)
            if ask.plain:
                await self._claim_isolated(self._claim, ask, ask.plain)
            if ask.limited:
                await self._claim_isolated(self._claim_limited, ask, ask.limited)
            if ask.plain or ask.limited:
                return
        await self._wait()

    def _capacity(self) -> int:
        """Return the number of jobs that may be claimed now; 0 if a claim is not worth it."""
        if self._writer.unwritten >= self._max_unsettled:
            return 0
        room = self._max_load - self._runner.load
        return min(room, self._batch_size) if room >= self._min_room else 0

    async def _claim_isolated(
        self,
        claim: Callable[[Ask], Awaitable[None]],
        ask: Ask,
        lanes: list[tuple[LaneKey, int]],
    ) -> None:
        """Claim; if a row of one lane makes the whole claim fail, claim from each lane alone."""
        try:
            await claim(ask)
        except Exception as error:
            if is_passing(error):
                raise
            # If the fault is not in a row, an empty claim fails as well.
            await queue.claim(self._pool, self._ids.new(), self._worker_id, [], {})
            for key, quota in lanes:
                lane = [(key, quota)]
                alone = ask._replace(
                    plain=lane if lanes is ask.plain else [],
                    limited=lane if lanes is ask.limited else [],
                    capacity=min(quota, self._capacity()),
                )
                if len(lanes) == 1:
                    self._set_aside(key[0], error)
                elif alone.capacity > 0:
                    await self._claim_isolated(claim, alone, lane)

    def _set_aside(self, lane: UUID, error: Exception) -> None:
        self._book.rest(lane, time.monotonic() + _FAULTY_LANE_PAUSE)
        self._failures.error(
            f"cannot claim jobs of {lane} (a reaction, or direct jobs to one origin): {error};"
            f" retrying every {_FAULTY_LANE_PAUSE:.0f} s",
            error,
        )

    async def _claim(self, ask: Ask) -> None:
        with self._lease() as lease_id:
            jobs, limited = await queue.claim(
                self._pool,
                lease_id,
                self._worker_id,
                ask.plain,
                ask.since,
                limit=ask.capacity,
            )
            self._held.opened(lease_id, [job[0] for job in jobs])
        if limited:
            # The claim left these lanes out, so they are still due.
            self._book.mark_limited(limited)
            plain = [(key, quota) for key, quota in ask.plain if key[0] not in set(limited)]
            ask = ask._replace(plain=plain)
        self._book.settle_claim(ask, jobs)
        if jobs:
            await self._intake.take(Reservation(lease_id, jobs))

    async def _claim_limited(self, ask: Ask) -> None:
        with self._lease() as lease_id:
            given = await claim_limited(self._pool, lease_id, self._worker_id, ask.limited)
            self._held.opened(lease_id, [job.job_id for job in given.jobs])
        for lane, fault in given.faulty.items():
            self._failures.error(
                f"the limits of reaction {lane} in delivery.lane_limits are invalid ({fault}); its"
                " jobs wait until they are corrected, for instance by an update of the reaction"
            )
        self._book.mark_unlimited(given.unlimited)
        unlimited = set(given.unlimited)
        asked = [(key, quota) for key, quota in ask.limited if key[0] not in unlimited]
        ask = ask._replace(limited=asked)
        self._book.settle_limited(ask, given.jobs, given.retry_in, time.monotonic())
        if given.jobs:
            await self._intake.take(Reservation(lease_id, given.jobs))

    @contextmanager
    def _lease(self) -> Iterator[UUID]:
        """Yield the id of a new lease, and forget the lease if its claim fails."""
        lease_id = self._ids.new()
        self._held.opening(lease_id)
        try:
            yield lease_id
        except BaseException:
            # The claim may have been committed. Then the lease audit finds it.
            self._held.given_up(lease_id)
            raise

    async def _wait(self) -> None:
        """Wait until something changes, or a known retry is due."""
        timer = self._book.next_timer()
        # The clock of the event loop is coarser: a shorter time would seem to be over already.
        delay = None if timer is None else max(timer - time.monotonic(), 0.001)
        try:
            async with asyncio.timeout(delay):
                await self._event.wait()
        except TimeoutError:
            pass
