"""Makes the calls: a bounded number at once, each in a task of its own, results to the settler."""

from __future__ import annotations

import asyncio
import logging
import random
import resource
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from delivery.engine import results
from delivery.engine.windows import CallEnd
from delivery.errors import MissingKey
from delivery.http.request import Request
from delivery.message.template import TemplateError
from delivery.models import Exchange, FailureKind
from delivery.policy.health import THROTTLES, classify
from delivery.policy.outcome import SUCCESS, decide
from delivery.policy.retry_after import retry_after_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from delivery.clock import Clock, IdFactory
    from delivery.engine.health import HealthKeeper
    from delivery.engine.prepared import PreparedCall
    from delivery.engine.settler import Settler
    from delivery.http.transport import Transport
    from delivery.message.request import Rendered
    from delivery.policy.outcome import Verdict
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

_UNREACHED: Final = frozenset(
    {FailureKind.TRANSPORT, FailureKind.TLS, FailureKind.DNS, FailureKind.TIMEOUT}
)
"""Failures that mean that the endpoint did not answer."""


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
        on_finished: Called with the lane of each job that leaves the sender, and how its call
            ended.
        on_room: Called when calls were found to be slow, so that there is room for others.
    """

    def __init__(
        self,
        transport: Transport,
        settler: Settler,
        health: HealthKeeper,
        clock: Clock,
        ids: IdFactory,
        settings: Settings,
        *,
        may_start: Callable[[], bool],
        on_finished: Callable[[UUID, CallEnd], None],
        on_room: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._settler = settler
        self._health = health
        self._clock = clock
        self._ids = ids
        self._concurrency = settings.worker.concurrency
        self._slow_concurrency = min(
            settings.worker.slow_concurrency, _affordable_sockets() - self._concurrency
        )
        self._max_body = settings.log.max_body
        self._may_start = may_start
        self._on_finished = on_finished
        self._on_room = on_room
        self._waiting: deque[tuple[UUID, ClaimedJob, PreparedCall]] = deque()
        self._running: dict[asyncio.Task[None], float] = {}
        """Calls in flight, and since when, oldest first; but for the slow ones."""
        self._slow: set[asyncio.Task[None]] = set()
        self._idle: list[tuple[asyncio.Task[None], asyncio.Future[None]]] = []
        """Tasks that wait to be called on to make calls again."""
        self._looking_again: asyncio.TimerHandle | None = None
        self._starting_more = False
        self._stopping = False

    @property
    def load(self) -> int:
        """Jobs held: calls in flight that are not slow, and those that wait for their turn."""
        return len(self._running) + len(self._waiting)

    def submit(self, lease_id: UUID, job: ClaimedJob, call: PreparedCall) -> None:
        """Take a job; its call starts as soon as there is room."""
        self._waiting.append((lease_id, job, call))

    def start_waiting(self) -> None:
        """Start as many waiting calls as there is room for."""
        self._starting_more = False
        waiting = self._waiting
        room = self._concurrency - len(self._running)
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
        kept: deque[tuple[UUID, ClaimedJob, PreparedCall]] = deque()
        for entry in self._waiting:
            if entry[0] in leases:
                self._on_finished(entry[1].lane, CallEnd.NOT_CALLED)
            else:
                kept.append(entry)
        self._waiting.clear()
        self._waiting.extend(kept)

    async def stop(self, timeout: float) -> None:
        """Hand back what waits, give calls in flight `timeout` seconds, and hand the rest back."""
        self._stopping = True
        while self._waiting:
            lease_id, job, _ = self._waiting.popleft()
            self._settler.add(results.handed_back(lease_id, job, self._clock.now()))
            self._on_finished(job.lane, CallEnd.NOT_CALLED)
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

    def cut_off(self) -> None:
        """Cancel the calls in flight; their jobs go back to the queue."""
        for task in (*self._running, *self._slow):
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._running.pop(task, None) is None:
            self._slow.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.critical("a delivery ended without a result", exc_info=task.exception())
        if not self._stopping:
            self.start_waiting()

    async def _make_calls(self) -> None:
        """Make one call after the other: a task for each would add a tenth to its cost."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        waiting, running = self._waiting, self._running
        while True:
            while waiting and task in running and not self._stopping and self._may_start():
                # Back to the end: they stand in the order in which their calls began.
                del running[task]
                running[task] = time.monotonic()
                await self._deliver(*waiting.popleft())
            # A call that was counted as slow has had its place taken by another.
            if running.pop(task, None) is None or self._stopping:
                return
            called = loop.create_future()
            self._idle.append((task, called))
            await called

    async def _deliver(self, lease_id: UUID, job: ClaimedJob, call: PreparedCall) -> None:
        rendered: Rendered | None = None
        try:
            rendered = call.render(job, self._clock.now())
            request = Request(
                call.endpoint,
                call.method,
                rendered.head,
                rendered.body,
                call.timeout,
                call.connect_timeout,
            )
            if call.redirects is None:
                exchange = await self._transport.send(request)
            else:
                exchange = await call.redirects.follow(
                    self._transport,
                    request,
                    plain_body=rendered.plain_body,
                )
        except asyncio.CancelledError:
            self._settler.add(
                results.cut_off(
                    lease_id,
                    job,
                    call,
                    rendered,
                    self._clock.now(),
                    self._ids.new(),
                    self._max_body,
                )
            )
            self._on_finished(job.lane, CallEnd.NOT_CALLED)
            raise
        except MissingKey as error:
            self._settler.add(results.without_key(lease_id, job, self._clock.now(), error))
            self._on_finished(job.lane, CallEnd.NOT_CALLED)
            return
        except TemplateError as error:
            exchange = Exchange(failure_kind=FailureKind.MISCONFIGURED, error=str(error))
        except Exception as error:
            # A mistake of ours must cost an attempt, not the worker, and must be seen.
            logger.exception("the call of job %s failed inside the engine", job.job_id)
            exchange = Exchange(
                failure_kind=FailureKind.INTERNAL, error=f"{type(error).__name__}: {error}"
            )
        self._conclude(lease_id, job, call, rendered, exchange)

    def _conclude(
        self,
        lease_id: UUID,
        job: ClaimedJob,
        call: PreparedCall,
        rendered: Rendered | None,
        exchange: Exchange,
    ) -> None:
        now = self._clock.now()
        verdict = decide(
            status_code=exchange.status_code,
            failure_kind=exchange.failure_kind,
            attempt=job.attempt + 1 - job.uncounted,
            max_attempts=job.max_attempts,
            policy=call.policy,
            rules=call.rules,
            retry_after=lambda: retry_after_of(exchange.response_head, now),
            now=now,
            created_at=job.created_at,
            deadline=job.deadline,
            draw=random.random,
        )
        if verdict is not SUCCESS or self._health.observed:
            self._note(job, verdict, exchange, now)
        if verdict.disable_reaction and job.reaction_id is not None:
            self._settler.disable(
                job.reaction_id, f"the endpoint answered {exchange.status_code} (gone)"
            )
        self._settler.add(
            results.delivered(
                lease_id,
                job,
                call,
                rendered,
                exchange,
                verdict,
                now,
                self._ids.new(),
                self._max_body,
            )
        )
        if exchange.failure_kind in _UNREACHED:
            end = CallEnd.UNANSWERED
        elif exchange.status_code in THROTTLES:
            end = CallEnd.ASKED_FOR_LESS
        else:
            end = CallEnd.ANSWERED
        self._on_finished(job.lane, end)

    def _note(self, job: ClaimedJob, verdict: Verdict, exchange: Exchange, now: float) -> None:
        """Tell of a call of a reaction's what it says about the endpoint."""
        answer = classify(verdict, exchange.status_code, exchange.failure_kind)
        if job.reaction_id is not None and job.reaction_version is not None and answer is not None:
            self._health.note(
                job.reaction_id,
                job.reaction_version,
                answer,
                exchange.total_ms / 1000,
                lambda: retry_after_of(exchange.response_head, now),
            )


def _affordable_sockets() -> int:
    """How many calls can be in flight, three in four of the files this process may have open."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit * 3 // 4
