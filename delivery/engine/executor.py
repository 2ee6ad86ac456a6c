"""Execution of claimed jobs: a bounded number concurrently, each in its own task."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Final

from delivery.engine.admission import Admission
from delivery.engine.concurrency_limit import ConcurrencyLimit
from delivery.engine.runners.attempt import Attempt
from delivery.engine.settling.attempts import AttemptRecorder
from delivery.errors import MissingKey
from delivery.models import FailureKind
from delivery.queue.windows import CallEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from delivery.clock import Clock, IdFactory
    from delivery.engine.endpoint_health import EndpointHealthTracker
    from delivery.engine.runners.http import HttpRunner
    from delivery.engine.runners.prepared_calls import PreparedCall
    from delivery.engine.settling.settler import Settler
    from delivery.queue.held_leases import HeldJob
    from delivery.settings import Settings
    from delivery.store.queue import ClaimedJob

__all__ = ["Executor"]

logger = logging.getLogger(__name__)

_SLOW_AFTER: Final = 1.0
"""Seconds after which a running job no longer counts towards `concurrency`."""

_STARTS_PER_TURN: Final = 16
"""Tasks started in one turn of the event loop. Where responses come quickly, the running tasks take
the next jobs too. Then few connections do the work of many, at a lower cost for both sides."""

_CHECK_INTERVAL: Final = 0.1
"""Seconds between two searches for slow jobs while other jobs wait for a task."""


class Executor:
    """Runs claimed jobs, and hands their attempts to the settler.

    Args:
        runner: Runs a job.
        settler: Receives the results.
        health: Receives the outcome of calls that did not succeed.
        settings: Settings of the worker. `worker.concurrency` is the number of jobs that run
            concurrently; further jobs wait here, in order. `worker.slow_concurrency` is the number
            of jobs that may run in addition after they ran for a second: an endpoint that hangs
            occupies a socket, and no place of other endpoints.
        may_start: Function that returns whether this worker certainly holds its leases. While it
            returns False, no job starts.
        on_begun: Function that receives the lease and the id of each job that starts.
        on_finished: Function that receives the lane of each job that leaves the executor, and the
            end of its call.
        on_room: Function to call when slow jobs made room for others.
    """

    def __init__(
        self,
        runner: HttpRunner,
        settler: Settler,
        health: EndpointHealthTracker,
        clock: Clock,
        ids: IdFactory,
        settings: Settings,
        *,
        may_start: Callable[[], bool],
        on_begun: Callable[[UUID, UUID], None],
        on_finished: Callable[[UUID, CallEnd], None],
        on_room: Callable[[], None],
    ) -> None:
        self._runner = runner
        self._recorder = AttemptRecorder(
            settler, health, clock, ids, settings.log, on_finished, self._lower_limit
        )
        self._limit = ConcurrencyLimit(settings.worker.concurrency, self.start_waiting)
        self._slow_concurrency = settings.worker.slow_concurrency
        self._may_start = may_start
        self._on_begun = on_begun
        self._on_finished = on_finished
        self._on_room = on_room
        self._waiting: deque[Attempt] = deque()
        self._waiters = runner.waiters
        self._waiters.connect(self._resume)
        self._admission = Admission(runner.waiters, settler, clock, on_finished)
        self._running: dict[asyncio.Task[None], float] = {}
        """Tasks with a running job and the start of that job, oldest first; without slow ones."""
        self._slow: set[asyncio.Task[None]] = set()
        self._attempts: dict[asyncio.Task[None], Attempt] = {}
        """Attempt that each task runs, slow or not."""
        self._idle: list[tuple[asyncio.Task[None], asyncio.Future[None]]] = []
        """Tasks without a job, and the futures that wake them."""
        self._next_check: asyncio.TimerHandle | None = None
        self._starting_more = False
        self._stopping = False

    @property
    def load(self) -> int:
        """Number of jobs held: running jobs that are not slow, and jobs that wait for a task.

        Jobs that wait for a slot at their endpoint count like slow jobs.
        """
        load = len(self._running) + len(self._waiting)
        if self._waiters.attempts:
            waiting = len(self._waiters.attempts)
            load += max(0, waiting + len(self._slow) - self._slow_concurrency)
        return load

    def jobs(self) -> Iterator[HeldJob]:
        """Return the jobs that wait or run here."""
        held = (self._waiting, self._attempts.values(), self._waiters.attempts.values())
        for attempt in chain.from_iterable(held):
            yield attempt.lease_id, attempt.job.job_id

    def submit(self, lease_id: UUID, job: ClaimedJob, call: PreparedCall) -> None:
        """Take a job; it starts as soon as there is room."""
        self._waiting.append(Attempt(lease_id, job, call))

    def start_waiting(self) -> None:
        """Start as many waiting jobs as there is room for."""
        self._starting_more = False
        waiting = self._waiting
        room = self._limit.limit - len(self._running)
        starts = min(len(waiting), room, _STARTS_PER_TURN)
        if starts > 0 and self._may_start():
            now = time.monotonic()
            for _ in range(starts):
                self._running[self._free_task()] = now
            if len(waiting) > starts and room > starts and not self._starting_more:
                self._starting_more = True
                asyncio.get_running_loop().call_soon(self.start_waiting)
        if len(waiting) > room and self._next_check is None:
            loop = asyncio.get_running_loop()
            self._next_check = loop.call_later(_CHECK_INTERVAL, self._find_slow)

    def abort(self, job_id: UUID, reason: str) -> bool:
        """Stop running one job, and return it to the queue with the reason.

        A call in flight is cut off and logged as lost. The other jobs of the executor continue.

        Returns:
            False if the job is not here, or its attempt has just ended.
        """
        for task, attempt in self._attempts.items():
            if attempt.job.job_id == job_id:
                if attempt.has_ended:
                    return False
                if attempt.abort_reason is None:
                    attempt.abort_reason = reason
                    task.cancel()
                return True
        for attempt in self._remove_waiting(lambda each: each.job.job_id == job_id):
            attempt.abort_reason = reason
            self._admission.hand_back([attempt])
            return True
        return False

    def drop(self, leases: set[UUID]) -> None:
        """Remove the waiting jobs of leases that this worker has lost."""
        for attempt in self._remove_waiting(lambda each: each.lease_id in leases):
            self._admission.release(attempt)

    async def stop(self, timeout: float) -> None:
        """Return waiting jobs, wait `timeout` seconds for running ones, and cut off the rest."""
        self._stopping = True
        self._limit.stop()
        self._hand_back_waiting()
        if self._next_check is not None:
            self._next_check.cancel()
        in_flight = {*self._running, *self._slow}
        if in_flight and timeout > 0:
            _, in_flight = await asyncio.wait(in_flight, timeout=timeout)
        self.cut_off()
        in_flight |= {task for task, _ in self._idle}
        for task, _ in self._idle:
            task.cancel()
        if in_flight:
            await asyncio.wait(in_flight)
        # A running job may have begun to wait for a slot.
        self._hand_back_waiting()

    def cut_off(self) -> None:
        """Cancel the running jobs, which go back to the queue; start no others."""
        self._stopping = True
        for task in (*self._running, *self._slow):
            task.cancel()

    def _remove_waiting(self, matches: Callable[[Attempt], bool]) -> list[Attempt]:
        removed = [attempt for attempt in self._waiting if matches(attempt)]
        for attempt in removed:
            self._waiting.remove(attempt)
        return [*removed, *self._waiters.remove(matches)]

    def _hand_back_waiting(self) -> None:
        self._admission.hand_back(self._remove_waiting(lambda _: True))

    def _resume(self, attempt: Attempt) -> None:
        """Run a job that got its slot, before all others."""
        self._waiting.appendleft(attempt)
        self.start_waiting()

    def _lower_limit(self, reason: str | None) -> None:
        self._limit.lower(len(self._running), reason)

    def _find_slow(self) -> None:
        """Exclude jobs that became slow from the count, and start others instead of them."""
        self._next_check = None
        if self._stopping:
            return
        before = time.monotonic() - _SLOW_AFTER
        for task, since in list(self._running.items()):
            if since > before or len(self._slow) >= self._slow_concurrency:
                break
            del self._running[task]
            self._slow.add(task)
        self.start_waiting()
        self._on_room()

    def _free_task(self) -> asyncio.Task[None]:
        """Return an idle task, or else a new one."""
        while self._idle:
            task, woken = self._idle.pop()
            if not woken.done():
                woken.set_result(None)
                return task
        task = asyncio.create_task(self._run_jobs())
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._running.pop(task, None) is None:
            self._slow.discard(task)
        attempt = self._attempts.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            logger.critical("an attempt ended without a result", exc_info=task.exception())
            if attempt is not None:
                # The audit takes the job over. It reports the lane of a job that did not start.
                self._on_finished(attempt.job.lane, CallEnd.NOT_CALLED)
        if not self._stopping:
            self.start_waiting()

    async def _run_jobs(self) -> None:
        """Run one job after the other: a new task for each would add a tenth to its cost."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        waiting, running, attempts = self._waiting, self._running, self._attempts
        saturated, limit = self._waiters.saturated, self._limit
        run, record = self._runner.run, self._recorder.record
        while True:
            while (
                waiting
                and task in running
                and len(running) <= limit.limit
                and not self._stopping
                and self._may_start()
            ):
                # The dictionary stays in the order of the starts.
                del running[task]
                running[task] = time.monotonic()
                attempt = waiting.popleft()
                job = attempt.job
                # Most jobs have no time limit and need not wait; `admits` returns True for these.
                if (
                    attempt.slot is None
                    and not saturated
                    and job.deadline is None
                    and attempt.call.policy.max_elapsed is None
                ) or self._admission.admits(attempt):
                    self._on_begun(attempt.lease_id, job.job_id)
                    attempts[task] = attempt
                    try:
                        has_result = await run(attempt)
                    except BaseException as error:  # noqa: BLE001 - raises those of others
                        has_result = self._after_error(task, attempt, error)
                    if not has_result:
                        self._on_room()
                    elif attempt.is_long:
                        await self._record_in_turn(attempt)
                    else:
                        record(attempt)
                    # Frees the request and the response while the task is idle.
                    del attempts[task], attempt
                else:
                    self._on_room()
            # Another job has taken the place of a job that was counted as slow.
            if running.pop(task, None) is None or self._stopping:
                return
            woken = loop.create_future()
            self._idle.append((task, woken))
            await woken

    def _after_error(
        self, task: asyncio.Task[None], attempt: Attempt, error: BaseException
    ) -> bool:
        """Handle an error of a run, and return whether the attempt has a result to be recorded.

        A task is cancelled either because the worker stops, or to abort its job. After the latter
        it continues with the next job.

        Raises:
            CancelledError: The worker stops. The job is on its way back to the queue.
        """
        if isinstance(error, asyncio.CancelledError):
            if attempt.rendered is None:
                self._admission.hand_back([attempt])
            else:
                self._recorder.cut_off(attempt)
            if attempt.abort_reason is None or task.uncancel() > 0:
                raise error
            return False
        if isinstance(error, MissingKey):
            self._recorder.not_yet(attempt, error)
            return False
        if not isinstance(error, Exception):
            raise error
        # An error in the engine must cost an attempt, not the worker, and must be seen.
        logger.error("job %s failed inside the engine", attempt.job.job_id, exc_info=error)
        attempt.fail(FailureKind.INTERNAL, f"{type(error).__name__}: {error}")
        return True

    async def _record_in_turn(self, attempt: Attempt) -> None:
        """Record an attempt whose log row takes long to redact."""
        record = partial(self._recorder.record, attempt)
        await self._runner.computations.run(attempt.job.tenant_id, attempt.job.lane, record)
