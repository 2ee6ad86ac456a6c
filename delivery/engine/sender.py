"""Makes the calls: a bounded number at once, each in a task of its own, results to the settler."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from typing import TYPE_CHECKING

from delivery.engine import results
from delivery.http.request import Request
from delivery.models import Exchange, FailureKind
from delivery.policy.outcome import decide
from delivery.policy.retry_after import retry_after_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from delivery.clock import Clock, IdFactory
    from delivery.engine.prepared import PreparedCall
    from delivery.engine.settler import Settler
    from delivery.http.transport import Transport
    from delivery.message.request import Rendered
    from delivery.store.queue import ClaimedJob

__all__ = ["Sender"]

logger = logging.getLogger(__name__)


class Sender:
    """Takes claimed jobs and makes their calls.

    Args:
        transport: Makes the exchange.
        settler: Takes the results.
        concurrency: Calls in flight at once; more jobs wait here, in the order they came.
        max_body: Bytes of each body that are kept in the log.
        may_start: Whether this worker surely holds its leases still; no call starts while it is
            False.
        on_finished: Called with the lane of each job that leaves the sender.
    """

    def __init__(
        self,
        transport: Transport,
        settler: Settler,
        clock: Clock,
        ids: IdFactory,
        *,
        concurrency: int,
        max_body: int,
        may_start: Callable[[], bool],
        on_finished: Callable[[UUID], None],
    ) -> None:
        self._transport = transport
        self._settler = settler
        self._clock = clock
        self._ids = ids
        self._concurrency = concurrency
        self._max_body = max_body
        self._may_start = may_start
        self._on_finished = on_finished
        self._waiting: deque[tuple[UUID, ClaimedJob, PreparedCall]] = deque()
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def load(self) -> int:
        """Jobs held: calls in flight, and those that wait for their turn."""
        return len(self._running) + len(self._waiting)

    def submit(self, lease_id: UUID, job: ClaimedJob, call: PreparedCall) -> None:
        """Take a job; its call starts as soon as there is room."""
        self._waiting.append((lease_id, job, call))

    def start_waiting(self) -> None:
        """Start as many waiting calls as there is room for."""
        while self._waiting and len(self._running) < self._concurrency and self._may_start():
            task = asyncio.create_task(self._deliver(*self._waiting.popleft()))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def drop(self, leases: set[UUID]) -> None:
        """Forget waiting jobs of leases that are no longer this worker's."""
        kept: deque[tuple[UUID, ClaimedJob, PreparedCall]] = deque()
        for entry in self._waiting:
            if entry[0] in leases:
                self._on_finished(entry[1].lane)
            else:
                kept.append(entry)
        self._waiting = kept

    async def stop(self, timeout: float) -> None:
        """Hand back what waits, give calls in flight `timeout` seconds, and hand the rest back."""
        self._stopping = True
        waiting, self._waiting = self._waiting, deque()
        for lease_id, job, _ in waiting:
            self._settler.add(results.handed_back(lease_id, job, self._clock.now()))
            self._on_finished(job.lane)
        if self._running and timeout > 0:
            await asyncio.wait(self._running, timeout=timeout)
        self.cut_off()
        if self._running:
            await asyncio.wait(self._running)

    def cut_off(self) -> None:
        """Cancel the calls in flight; their jobs go back to the queue.

        Not at once, but behind what the event loop has to do already: a task that is cancelled
        before its first step never runs, and could not hand its job back.
        """
        asyncio.get_running_loop().call_soon(self._cancel_running)

    def _cancel_running(self) -> None:
        for task in self._running:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.critical("a delivery ended without a result", exc_info=task.exception())
        if not self._stopping:
            self.start_waiting()

    async def _deliver(self, lease_id: UUID, job: ClaimedJob, call: PreparedCall) -> None:
        rendered: Rendered | None = None
        try:
            rendered = call.template.render(
                f"msg_{job.job_id.hex}",
                int(self._clock.now()),
                job.event_type or "",
                job.created_at,
                job.payload or b"",
            )
            exchange = await self._transport.send(
                Request(
                    call.endpoint,
                    call.method,
                    rendered.head,
                    rendered.body,
                    call.timeout,
                    call.connect_timeout,
                )
            )
        except asyncio.CancelledError:
            self._settler.add(
                results.cut_off(lease_id, job, call, rendered, self._clock.now(), self._ids.new())
            )
            self._on_finished(job.lane)
            raise
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
        self._on_finished(job.lane)
