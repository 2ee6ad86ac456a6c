"""Claims due jobs, lane by lane, and hands them to the sender.

Which lanes have due work it knows from sweeps, from wake-ups, and from the times of known retries.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from delivery.engine.settling import results
from delivery.engine.yielding import LoopYielder
from delivery.models import FailureKind
from delivery.observe.repeated_logs import RepeatedLogs
from delivery.queue.lanes import LaneBook, Retry
from delivery.queue.limited_claims import claim_limited
from delivery.queue.sweeper import Sweeper
from delivery.queue.windows import CallEnd
from delivery.store import queue
from delivery.store.driver.failures import CONNECTION_ERRORS, is_passing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
    from uuid import UUID

    from delivery.clock import Clock, IdFactory
    from delivery.engine.executor import Executor
    from delivery.engine.runners.prepared_calls import PreparedCalls
    from delivery.engine.settling.settler import Settler
    from delivery.queue.held_leases import HeldJob, HeldLeases
    from delivery.queue.lanes import Ask
    from delivery.settings import WorkerSettings
    from delivery.store.driver.connection import Pool
    from delivery.store.queue import ClaimedJob, LaneKey
    from delivery.store.settlements import Settlement

__all__ = ["Dispatcher"]

logger = logging.getLogger(__name__)

_REMEMBERED: Final = 60.0
"""Seconds ahead for which the times of retries are kept in memory."""

_MAX_BACKOFF: Final = 5.0

_SET_ASIDE_FOR: Final = 60.0
"""Seconds for which a lane is left alone that cannot be claimed from."""


class Dispatcher:
    """The only claimer of this process."""

    def __init__(
        self,
        pool: Pool,
        worker_id: UUID,
        clock: Clock,
        ids: IdFactory,
        held: HeldLeases,
        calls: PreparedCalls,
        settings: WorkerSettings,
    ) -> None:
        self._pool = pool
        self._worker_id = worker_id
        self._clock = clock
        self._ids = ids
        self._held = held
        self._calls = calls
        self._settings = settings
        self._batch_size = settings.batch_size
        self._most_held = settings.concurrency + settings.batch_size
        self._max_unsettled = settings.max_unsettled
        # While calls wait for their turn anyway, fewer and larger claims cost less.
        self._worth_it = max(1, settings.batch_size // 2)
        self._low_load = self._most_held - self._worth_it + 1
        """What the sender holds just before there is enough room again."""
        self._book = LaneBook(settings.reaction_concurrency)
        self.sweeper = Sweeper(pool, self._book, settings, self.look_again)
        """Finds lanes for this dispatcher; runs beside it."""
        self._breather = LoopYielder()
        self._event = asyncio.Event()
        self._stopping = False
        self._handing_over: tuple[UUID, list[ClaimedJob]] | None = None
        """The jobs of a claim until the sender or the settler has them."""
        self._failures = RepeatedLogs(logger)
        self._executor: Executor
        self._settler: Settler

    def connect(self, executor: Executor, settler: Settler) -> None:
        """Name those the jobs are handed to; they in turn report to this dispatcher."""
        self._executor = executor
        self._settler = settler

    def stop(self) -> None:
        """End after the claim under way, if there is one; one cut off would have to be reaped."""
        self._stopping = True
        self._event.set()

    def wake(self, lanes: Iterable[LaneKey] | None) -> None:
        """Look at these lanes soon; None: sweep for lanes with due work."""
        if lanes is None:
            self.sweeper.ask()
        else:
            for key in lanes:
                self._book.mark_due(key, fresh=True)
            self._event.set()

    def job_left(self, lane: UUID, end: CallEnd) -> None:
        """Note that one of the lane's jobs left the sender, so there is room for another."""
        # Called once a delivery: a turn that would claim nothing is not worth waking up for.
        if self._book.finished(lane, end) or self._executor.load == self._low_load:
            self._event.set()

    def in_hand(self) -> Iterator[HeldJob]:
        """The jobs that were claimed and not yet handed to the sender."""
        if self._handing_over is not None:
            lease_id, jobs = self._handing_over
            for job in jobs:
                yield lease_id, job.job_id

    def held_back(self, lanes: Iterable[UUID]) -> None:
        """Note that lanes must be claimed from by their limits from now on."""
        self._book.mark_limited(lanes)

    def rest(self, lane: UUID, seconds: float) -> None:
        """Leave a lane alone for a while."""
        self._book.rest(lane, time.monotonic() + seconds)

    def look_again(self) -> None:
        """Note that there may be something to claim, or room for it."""
        self._event.set()

    def settled(self, batch: Sequence[Settlement]) -> None:
        """Note when the jobs of a written batch that went back to the queue are due."""
        now, monotonic = self._clock.now(), time.monotonic()
        for settlement in batch:
            # What is due later is found by sweeps; there may be any number of such lanes.
            if settlement.run_at is not None and settlement.run_at - now < _REMEMBERED:
                key = (settlement.lane, settlement.priority)
                due = monotonic + settlement.run_at - now
                self._book.mark_due_at(key, due)
                if settlement.log_id is not None:
                    self._book.failed(key, Retry(settlement.attempt, due, settlement.run_at))
            if self._book.is_limited(settlement.lane):
                self._book.freed(settlement.lane)
        self._event.set()

    async def run(self) -> None:
        """Claim until stopped or cancelled."""
        backoff = self._settings.poll_min
        while not self._stopping:
            try:
                await self._turn()
                backoff = self._settings.poll_min
            except CONNECTION_ERRORS as error:
                logger.warning(
                    "jobs could not be claimed (%s); trying again in %.2f s", error, backoff
                )
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)

    async def _turn(self) -> None:
        if not self._stopping:
            self._event.clear()
        self._executor.start_waiting()
        now = time.monotonic()
        self._book.fire_timers(now)
        if self._book.due_lanes < self._batch_size:
            # With many lanes the next ones are looked for before those known have run out.
            self.sweeper.ask_for_more()
        capacity = self._capacity()
        if capacity > 0 and self._book.has_due():
            ask = self._book.quotas(capacity, now)
            if ask.plain:
                await self._claim_apart(self._claim, ask, ask.plain)
            if ask.limited:
                await self._claim_apart(self._claim_limited, ask, ask.limited)
            if ask.plain or ask.limited:
                return
        await self._wait()

    def _capacity(self) -> int:
        """How many jobs may be claimed now; 0 unless it is worth a claim."""
        if self._settler.unwritten >= self._max_unsettled:
            return 0
        room = self._most_held - self._executor.load
        return min(room, self._batch_size) if room >= self._worth_it else 0

    async def _claim_apart(
        self,
        claim: Callable[[Ask], Awaitable[None]],
        ask: Ask,
        lanes: list[tuple[LaneKey, int]],
    ) -> None:
        """Claim, and from each lane apart if a row of one of them makes the whole claim fail."""
        try:
            await claim(ask)
        except Exception as error:
            if is_passing(error):
                raise
            # A claim of nothing fails as well if the fault is not in a row.
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
                    await self._claim_apart(claim, alone, lane)

    def _set_aside(self, lane: UUID, error: Exception) -> None:
        self._book.rest(lane, time.monotonic() + _SET_ASIDE_FOR)
        self._failures.error(
            f"jobs of {lane} (a reaction, or direct jobs to one origin) cannot be claimed: {error};"
            f" it is left alone, and tried again every {_SET_ASIDE_FOR:.0f} s",
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
            # They gave nothing because they were left out; so they stay due.
            self._book.mark_limited(limited)
            plain = [(key, quota) for key, quota in ask.plain if key[0] not in set(limited)]
            ask = ask._replace(plain=plain)
        self._book.settle_claim(ask, jobs)
        if jobs:
            await self._hand_over(lease_id, jobs)

    async def _claim_limited(self, ask: Ask) -> None:
        with self._lease() as lease_id:
            given = await claim_limited(self._pool, lease_id, self._worker_id, ask.limited)
            self._held.opened(lease_id, [job.job_id for job in given.jobs])
        for lane, fault in given.faulty.items():
            self._failures.error(
                f"the limits of reaction {lane} in delivery.lane_limits cannot be used ({fault});"
                " its jobs wait until they are corrected, for instance by updating the reaction"
            )
        self._book.mark_unlimited(given.unlimited)
        unlimited = set(given.unlimited)
        asked = [(key, quota) for key, quota in ask.limited if key[0] not in unlimited]
        ask = ask._replace(limited=asked)
        self._book.settle_limited(ask, given.jobs, given.retry_in, time.monotonic())
        if given.jobs:
            await self._hand_over(lease_id, given.jobs)

    @contextmanager
    def _lease(self) -> Iterator[UUID]:
        """The id of a lease that is about to be made."""
        lease_id = self._ids.new()
        self._held.opening(lease_id)
        try:
            yield lease_id
        except BaseException:
            # The claim may have been committed all the same: the lease audit will find it.
            self._held.given_up(lease_id)
            raise

    async def _hand_over(self, lease_id: UUID, jobs: list[ClaimedJob]) -> None:
        taken = 0
        self._handing_over = (lease_id, jobs)
        try:
            await self._load_calls(jobs)
            now = self._clock.now()
            self._breather.begin()
            for job in jobs:
                try:
                    self._take(lease_id, job, now)
                except Exception as error:  # noqa: BLE001 - costs nothing until it happens
                    # A job that cannot be handled must not come back with all the others for ever.
                    self._fail(lease_id, job, now, error)
                taken += 1
                if job.params is not None:
                    # The call of a direct job is made ready here, which may take long.
                    await self._breather.take()
                    now = self._clock.now()
        except BaseException:
            # Stopping, or a mistake of ours: what is claimed and not handed over goes back.
            now = self._clock.now()
            for job in jobs[taken:]:
                self._settler.add(results.handed_back(lease_id, job, now))
                self._book.finished(job.lane, CallEnd.NOT_CALLED)
            raise
        finally:
            self._handing_over = None
        self._executor.start_waiting()

    def _fail(self, lease_id: UUID, job: ClaimedJob, now: float, error: Exception) -> None:
        logger.error("job %s cannot be prepared and fails", job.job_id, exc_info=error)
        reason = f"the job cannot be prepared: {type(error).__name__}: {error}"
        self._settler.add(results.failed_unsent(lease_id, job, now, FailureKind.INTERNAL, reason))
        self._book.finished(job.lane, CallEnd.NOT_CALLED)

    def _take(self, lease_id: UUID, job: ClaimedJob, now: float) -> None:
        call = self._calls.get(job)
        refusal = results.refusal(lease_id, job, call, now)
        if refusal is not None:
            self._settler.add(refusal)
            self._book.finished(job.lane, CallEnd.NOT_CALLED)
        elif not isinstance(call, Exception):
            self._book.set_cap(job.lane, call.concurrency)
            self._executor.submit(lease_id, job, call)

    async def _load_calls(self, jobs: list[ClaimedJob]) -> None:
        backoff = self._settings.poll_min
        while True:
            try:
                await self._calls.load(jobs)
            except CONNECTION_ERRORS as error:
                logger.warning("reactions could not be read (%s); trying again", error)
                await asyncio.sleep(backoff)
                backoff = min(backoff * 2, _MAX_BACKOFF)
            else:
                return

    async def _wait(self) -> None:
        """Until something changes, or a known retry is due."""
        timer = self._book.next_timer()
        # The loop's own clock is coarser: it would find that a shorter time is over already.
        delay = None if timer is None else max(timer - time.monotonic(), 0.001)
        try:
            async with asyncio.timeout(delay):
                await self._event.wait()
        except TimeoutError:
            pass
