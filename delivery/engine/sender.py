"""Makes the calls: a bounded number at once, each in a task of its own, results to the settler."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from delivery.engine.concurrency_limit import ConcurrencyLimit
from delivery.engine.runners.admission import Admission
from delivery.engine.runners.http import exchange_of
from delivery.engine.settling.attempts import AttemptRecorder
from delivery.errors import MissingKey
from delivery.message.template.parsing import TemplateError
from delivery.models import LONG_RESPONSE, Exchange, FailureKind
from delivery.queue.windows import CallEnd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from delivery.clock import Clock, IdFactory
    from delivery.engine.endpoint_health import EndpointHealthTracker
    from delivery.engine.runners.place_waiters import Entry
    from delivery.engine.runners.prepared_calls import PreparedCall
    from delivery.engine.settling.settler import Settler
    from delivery.http.pool import Slot
    from delivery.http.transport import Transport
    from delivery.message.request.template import Rendered
    from delivery.queue.held_leases import HeldJob
    from delivery.settings import Settings
    from delivery.store.queue import ClaimedJob

__all__ = ["Sender"]

logger = logging.getLogger(__name__)

_SLOW_AFTER: Final = 1.0
"""Seconds after which a call in flight no longer counts towards `concurrency`."""

_STARTED_AT_ONCE: Final = 16
"""Callers started in one turn of the event loop. Where answers come quickly, those at work take the
next jobs too, and few connections do what many would, with less to do for both sides."""

_LOOK_AGAIN: Final = 0.1
"""Seconds between two looks for such calls while jobs wait for a place."""


class Sender:
    """Takes claimed jobs and makes their calls.

    Args:
        transport: Makes the exchange.
        settler: Takes the results.
        health: Is told of calls that did not succeed.
        settings: Give `worker.concurrency`, calls in flight at once, while more jobs wait here in
            the order they came; and `worker.slow_concurrency`, how many calls that have lasted
            more than a second may be in flight beyond these: an endpoint that hangs holds a socket,
            not another endpoint's place.
        may_start: Whether this worker surely holds its leases still; no call starts while it is
            False.
        on_begun: Called with the lease and the id of each job when its call begins.
        on_finished: Called with the lane of each job that leaves the sender, and how its call
            ended.
        on_room: Called when calls were found to be slow, so that there is room for others.
    """

    def __init__(
        self,
        transport: Transport,
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
        self._transport = transport
        self._clock = clock
        self._recorder = AttemptRecorder(
            settler, health, clock, ids, settings.log, on_finished=on_finished
        )
        self._load = ConcurrencyLimit(settings.worker.concurrency, self.start_waiting)
        self._slow_concurrency = settings.worker.slow_concurrency
        self._may_start = may_start
        self._on_begun = on_begun
        self._on_finished = on_finished
        self._on_room = on_room
        self._waiting: deque[Entry] = deque()
        self._admission = Admission(transport, settler, clock, on_finished, self._resume)
        self._parked = self._admission.waiting
        self._running: dict[asyncio.Task[None], float] = {}
        """Calls in flight, and since when, oldest first; but for the slow ones."""
        self._slow: set[asyncio.Task[None]] = set()
        self._calls: dict[asyncio.Task[None], Entry] = {}
        """The call of each task, slow or not."""
        self._idle: list[tuple[asyncio.Task[None], asyncio.Future[None]]] = []
        """Tasks that wait to be called on to make calls again."""
        self._looking_again: asyncio.TimerHandle | None = None
        self._starting_more = False
        self._stopping = False

    @property
    def load(self) -> int:
        """Jobs held: calls in flight that are not slow, and those that wait for their turn.

        Those that wait for a place at their endpoint are counted with the slow ones.
        """
        load = len(self._running) + len(self._waiting)
        if self._parked:
            load += max(0, len(self._parked) + len(self._slow) - self._slow_concurrency)
        return load

    def in_hand(self) -> Iterator[HeldJob]:
        """The jobs that wait here or are in flight."""
        for held in (self._waiting, self._calls.values(), self._parked.values()):
            for lease_id, job, _, _ in held:
                yield lease_id, job.job_id

    def submit(self, lease_id: UUID, job: ClaimedJob, call: PreparedCall) -> None:
        """Take a job; its call starts as soon as there is room."""
        self._waiting.append((lease_id, job, call, None))

    def start_waiting(self) -> None:
        """Start as many waiting calls as there is room for."""
        self._starting_more = False
        waiting = self._waiting
        room = self._load.limit - len(self._running)
        callers = min(len(waiting), room, _STARTED_AT_ONCE)
        if callers > 0 and self._may_start():
            now = time.monotonic()
            for _ in range(callers):
                self._running[self._caller()] = now
            if len(waiting) > callers and room > callers and not self._starting_more:
                self._starting_more = True
                asyncio.get_running_loop().call_soon(self.start_waiting)
        if len(waiting) > room and self._looking_again is None:
            loop = asyncio.get_running_loop()
            self._looking_again = loop.call_later(_LOOK_AGAIN, self._look_again)

    def _caller(self) -> asyncio.Task[None]:
        """A task that makes calls: one that has nothing to do, or else a new one."""
        while self._idle:
            task, called = self._idle.pop()
            if not called.done():
                called.set_result(None)
                return task
        task = asyncio.create_task(self._make_calls())
        task.add_done_callback(self._ended)
        return task

    def _look_again(self) -> None:
        """Take calls that have become slow out of the count, and start others in their place."""
        self._looking_again = None
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

    def drop(self, leases: set[UUID]) -> None:
        """Forget waiting jobs of leases that are no longer this worker's."""
        kept: deque[Entry] = deque()
        for entry in self._waiting:
            if entry[0] in leases:
                self._admission.leave_out(entry)
            else:
                kept.append(entry)
        self._waiting.clear()
        self._waiting.extend(kept)
        self._admission.drop(leases)

    async def stop(self, timeout: float) -> None:
        """Hand back what waits, give calls in flight `timeout` seconds, and hand the rest back."""
        self._stopping = True
        self._load.stop()
        self._hand_back_waiting()
        if self._looking_again is not None:
            self._looking_again.cancel()
        in_flight = {*self._running, *self._slow}
        if in_flight and timeout > 0:
            _, in_flight = await asyncio.wait(in_flight, timeout=timeout)
        self.cut_off()
        in_flight |= {task for task, _ in self._idle}
        for task, _ in self._idle:
            task.cancel()
        if in_flight:
            await asyncio.wait(in_flight)
        # A call in flight may have begun to wait for a place.
        self._hand_back_waiting()

    def _hand_back_waiting(self) -> None:
        self._admission.hand_back(self._waiting)
        self._waiting.clear()
        self._admission.hand_back_waiting()

    def cut_off(self) -> None:
        """Cancel the calls in flight; their jobs go back to the queue, and no others begin."""
        self._stopping = True
        for task in (*self._running, *self._slow):
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._running.pop(task, None) is None:
            self._slow.discard(task)
        left = self._calls.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            logger.critical("a delivery ended without a result", exc_info=task.exception())
            if left is not None:
                # The audit takes the job over. It reports the lane of a call that had not begun.
                self._on_finished(left[1].lane, CallEnd.NOT_CALLED)
        if not self._stopping:
            self.start_waiting()

    async def _make_calls(self) -> None:
        """Make one call after the other: a task for each would add a tenth to its cost."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        waiting, running, calls = self._waiting, self._running, self._calls
        load, admission = self._load, self._admission
        saturated = admission.saturated
        while True:
            while (
                waiting
                and task in running
                and len(running) <= load.limit
                and not self._stopping
                and self._may_start()
            ):
                # Back to the end: they stand in the order in which their calls began.
                del running[task]
                running[task] = time.monotonic()
                lease_id, job, call, place = called = waiting.popleft()
                # Most jobs have no limit of time and a place at once; for these, `admits` is true.
                if (
                    place is None
                    and not saturated
                    and job.deadline is None
                    and call.policy.max_elapsed is None
                ) or admission.admits(called):
                    self._on_begun(lease_id, job.job_id)
                    calls[task] = called
                    await self._deliver(lease_id, job, call, place)
                    del calls[task]
                else:
                    self._on_room()
            # A call that was counted as slow has had its place taken by another.
            if running.pop(task, None) is None or self._stopping:
                return
            called_on = loop.create_future()
            self._idle.append((task, called_on))
            await called_on

    def _resume(self, entry: Entry) -> None:
        """Go on with a job that waited for a place at its endpoint."""
        self._waiting.appendleft(entry)
        self.start_waiting()

    async def _deliver(
        self, lease_id: UUID, job: ClaimedJob, call: PreparedCall, place: Slot | None
    ) -> None:
        rendered: Rendered | None = None
        computes = call.computes or job.payload[:1] == b"e"  # type: ignore[index] # it is encrypted
        if computes and not await self._admission.compute((lease_id, job, call, place)):
            self._on_room()
            return
        try:
            if computes or place is not None:
                rendered = self._admission.render((lease_id, job, call, place), computes=computes)
            else:
                rendered = call.render(job, self._clock.now())
            exchange = await exchange_of(self._transport, job, call, rendered, place)
        except asyncio.CancelledError:
            self._recorder.cut_off(lease_id, job, call, rendered)
            raise
        except MissingKey as error:
            self._recorder.not_yet(lease_id, job, error)
            return
        except TemplateError as error:
            exchange = Exchange(failure_kind=FailureKind.MISCONFIGURED, error=str(error))
        except Exception as error:
            # A mistake of ours must cost an attempt, not the worker, and must be seen.
            logger.exception("the call of job %s failed inside the engine", job.job_id)
            text = f"{type(error).__name__}: {error}"
            exchange = Exchange(failure_kind=FailureKind.INTERNAL, error=text)
        if exchange.failure_kind is FailureKind.LOCAL:
            self._load.lower(len(self._running), exchange.error)
            self._recorder.postpone(lease_id, job, call, rendered, exchange)
        elif (
            computes
            or exchange.response_size > LONG_RESPONSE
            or len(exchange.response_head) > LONG_RESPONSE
        ):
            # Redacting the log row takes long, too.
            conclude = partial(self._recorder.conclude, lease_id, job, call, rendered, exchange)
            await self._admission.computations.run(job.tenant_id, job.lane, conclude)
        else:
            self._recorder.conclude(lease_id, job, call, rendered, exchange)
