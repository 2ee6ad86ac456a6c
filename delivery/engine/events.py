"""Events of this process: subscription, emission, and the types of the events.

Events inform; they decide nothing. An event is emitted after the fact, at most once per batch of
results, never once per delivery, and costs nothing without listeners. Events of other processes
are not known here.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from delivery.errors import InvalidInput
from delivery.models import FailureKind, JobStatus
from delivery.observe.repeated_logs import RepeatedLogs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from uuid import UUID

    from delivery.models import EngineEventType
    from delivery.store.settlements import Settlement

__all__ = [
    "EventBus",
    "JobsSettled",
    "LanePaused",
    "LanesLimited",
    "LeasesConfirmed",
    "ReactionHealthChanged",
    "ResultsWritten",
    "SettledJob",
    "check_subscription",
    "emit_results",
]

E = TypeVar("E")

logger = logging.getLogger(__name__)

_MAX_PENDING: Final = 1_000
"""Events that wait for an asynchronous listener. Further events are lost to it."""
_LAST_EVENTS: Final = 1.0
"""Seconds that asynchronous listeners have for the last events when the bus is closed."""


@dataclass(frozen=True, slots=True)
class SettledJob:
    """A job after one of its attempts, or after a worker gave it back."""

    job_id: UUID
    tenant_id: str
    trigger_id: UUID | None
    """Trigger of the job. None for a direct job."""
    reaction_id: UUID | None
    """Reaction of the job. None for a direct job."""
    status: JobStatus
    attempt: int
    """Number of attempts so far."""
    exhausted: bool
    """True if the job failed because its attempts or its time are used up."""
    run_at: datetime | None
    """Time of the next attempt. None if there is none, or if it is due immediately."""
    status_code: int | None
    failure_kind: FailureKind | None
    error: str | None
    duration_ms: float | None
    """Duration of the call. None if no call was made."""


@dataclass(frozen=True, slots=True)
class JobsSettled:
    """A batch of results is in the database.

    The batch contains every job that a worker of this process settled: finished ones, and ones
    that will run again. It also contains the rare result that came too late, after another worker
    had taken the job over; such a result is logged as `late` and does not change the job.
    """

    jobs: tuple[SettledJob, ...]


@dataclass(frozen=True, slots=True)
class ReactionHealthChanged:
    """A worker of this process found that the endpoint of a reaction fails, or works again."""

    reaction_id: UUID
    tenant_id: str
    name: str
    """Name of the reaction."""
    type: EngineEventType
    """Type of the trigger that announces the change to the tenant."""
    failures: int
    """Number of calls in a row that failed."""


@dataclass(frozen=True, slots=True)
class ResultsWritten:
    """Results of jobs were written. Internal: `JobsSettled` is the public form."""

    results: Sequence[Settlement]
    healing: Sequence[UUID] = ()
    """Reactions recorded as failing whose endpoint settled a job again."""


@dataclass(frozen=True, slots=True)
class LanesLimited:
    """Lanes got limits over all workers: claims must observe them from now on."""

    lanes: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class LanePaused:
    """A lane must rest immediately, until its pause is written for all workers."""

    lane: UUID
    seconds: float


@dataclass(frozen=True, slots=True)
class LeasesConfirmed:
    """After a gap, this worker certainly holds its leases: jobs may start again."""


_PUBLIC: Final = (JobsSettled, ReactionHealthChanged)
"""Event types for `Engine.on`."""


class _Subscription:
    """A listener, and the coroutines that it returned and that have not run yet."""

    def __init__(self, listener: Callable[[Any], object], tasks: set[asyncio.Task[None]]) -> None:
        self._listener = listener
        self._tasks = tasks
        self._pending: deque[Awaitable[object]] = deque()
        self._is_running = False
        self._losses = RepeatedLogs(logger)

    def deliver(self, event: object) -> None:
        """Call the listener; run the coroutine that it returns after the earlier ones."""
        try:
            result = self._listener(event)
        except Exception as error:  # noqa: BLE001 - a listener must not fail its emitter
            self._report(error)
            return
        if not inspect.isawaitable(result):
            return
        if len(self._pending) >= _MAX_PENDING:
            if inspect.iscoroutine(result):
                result.close()
            self._losses.error(
                f"the listener {self._listener!r} is too slow: events are lost to it, since"
                f" {_MAX_PENDING} wait already"
            )
            return
        self._pending.append(result)
        if not self._is_running:
            self._is_running = True
            task = asyncio.create_task(self._run())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self) -> None:
        try:
            while self._pending:
                try:
                    await self._pending.popleft()
                except Exception as error:  # noqa: BLE001 - nor the next event
                    self._report(error)
        finally:
            self._is_running = False
            for left in self._pending:
                if inspect.iscoroutine(left):
                    left.close()
            self._pending.clear()

    def _report(self, error: Exception) -> None:
        logger.error("the listener %r failed: %s", self._listener, error, exc_info=error)


class EventBus:
    """Listeners by event type.

    Args:
        parent: Bus that receives every event after this one.
    """

    def __init__(self, parent: EventBus | None = None) -> None:
        self._parent = parent
        self._subscriptions: dict[type, tuple[_Subscription, ...]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def on(self, event_type: type[E], listener: Callable[[E], object]) -> Callable[[], None]:
        """Call a listener with each event of a type, and return a function that ends this.

        Listeners are called in the order of their subscription, on the event loop. If one returns a
        coroutine, the coroutine runs in a task, one event after the other. An error of a listener
        is logged and has no other effect.
        """
        subscription = _Subscription(listener, self._tasks)
        self._subscriptions[event_type] = (*self._of(event_type), subscription)

        def unsubscribe() -> None:
            left = tuple(each for each in self._of(event_type) if each is not subscription)
            self._subscriptions[event_type] = left

        return unsubscribe

    def listens(self, event_type: type) -> bool:
        """Return whether an event of this type has a listener, so that it must be made."""
        if self._of(event_type):
            return True
        return self._parent is not None and self._parent.listens(event_type)

    def emit(self, event: object) -> None:
        """Deliver an event to its listeners. Never raises their errors."""
        for subscription in self._of(type(event)):
            subscription.deliver(event)
        if self._parent is not None:
            self._parent.emit(event)

    async def aclose(self) -> None:
        """Wait a moment until asynchronous listeners are ready, then cancel them."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=_LAST_EVENTS)
        for task in late:
            task.cancel()
        if late:
            logger.warning("%d listeners did not end in time and were cancelled", len(late))
            await asyncio.wait(late, timeout=_LAST_EVENTS)

    def _of(self, event_type: type) -> tuple[_Subscription, ...]:
        return self._subscriptions.get(event_type, ())


def check_subscription(event_type: object, listener: object) -> None:
    """Check the arguments of `Engine.on`.

    Raises:
        InvalidInput: The type is not public, or the listener cannot be called.
    """
    if event_type not in _PUBLIC:
        names = ", ".join(each.__name__ for each in _PUBLIC)
        message = f"{event_type!r} is not an event type; use one of {names}"
        raise InvalidInput(message)
    if not callable(listener):
        message = f"the listener is a {type(listener).__name__}; it must be a function"
        raise InvalidInput(message)


def emit_results(events: EventBus, results: Sequence[Settlement], healing: Iterable[UUID]) -> None:
    """Emit the events of results that were written."""
    events.emit(ResultsWritten(results, tuple(healing)))
    if events.listens(JobsSettled):
        events.emit(JobsSettled(tuple(map(_settled_job, results))))


def _settled_job(result: Settlement) -> SettledJob:
    return SettledJob(
        job_id=result.job_id,
        tenant_id=result.tenant_id,
        trigger_id=result.trigger_id,
        reaction_id=result.reaction_id,
        status=JobStatus(result.status),
        attempt=result.attempt,
        exhausted=result.exhausted,
        run_at=None if result.run_at is None else datetime.fromtimestamp(result.run_at, UTC),
        status_code=result.status_code,
        failure_kind=None if result.failure_kind is None else FailureKind(result.failure_kind),
        error=result.error,
        duration_ms=result.duration_ms,
    )
