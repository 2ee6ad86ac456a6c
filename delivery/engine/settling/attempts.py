"""Record of an attempt: the decision on its job, its log row, the health of its endpoint."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from delivery.engine.settling import results
from delivery.models import Exchange, FailureKind
from delivery.policy.endpoint_health import classify, is_early
from delivery.policy.outcome import SUCCESS, decide
from delivery.policy.retry_after import retry_after_of
from delivery.queue.windows import CallEnd, end_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from delivery.clock import Clock, IdFactory
    from delivery.engine.endpoint_health import EndpointHealthTracker
    from delivery.engine.runners.attempt import Attempt
    from delivery.engine.settling.settler import Settler
    from delivery.policy.outcome import Decision
    from delivery.settings import LogSettings
    from delivery.store.queue import ClaimedJob

__all__ = ["AttemptRecorder"]

_SHORTAGE_DELAY: Final = (1.0, 3.0)
"""Bounds in seconds of the random delay before a job runs again that this process could not call.
"""


class AttemptRecorder:
    """Turns attempts into results for the settler.

    Args:
        settler: Writes the results.
        health: Receives the outcome of calls that say something about the endpoint.
        clock: Dates the results.
        ids: Makes the ids of log rows.
        settings: Limits of the stored part of heads and bodies.
        on_finished: Function that receives the lane of each job, and the end of its call.
        on_shortage: Function that receives the reason of each call that this process lacked the
            resources for.
    """

    __slots__ = (
        "_clock",
        "_health",
        "_ids",
        "_max_body",
        "_max_head",
        "_on_finished",
        "_on_shortage",
        "_settler",
    )

    def __init__(
        self,
        settler: Settler,
        health: EndpointHealthTracker,
        clock: Clock,
        ids: IdFactory,
        settings: LogSettings,
        on_finished: Callable[[UUID, CallEnd], None],
        on_shortage: Callable[[str | None], None],
    ) -> None:
        self._settler = settler
        self._health = health
        self._clock = clock
        self._ids = ids
        self._max_body, self._max_head = settings.max_body, settings.max_head
        self._on_finished = on_finished
        self._on_shortage = on_shortage

    def record(self, attempt: Attempt) -> None:
        """Decide on the job of an attempt that has a result, and record both."""
        job, exchange = attempt.job, attempt.exchange
        if exchange is None:
            exchange = Exchange(failure_kind=attempt.failure_kind, error=attempt.error)
        elif exchange.failure_kind is FailureKind.LOCAL:
            self._postpone(attempt, exchange)
            return
        now = self._clock.now()
        number = job.attempt + 1 - job.uncounted
        if attempt.call.rules.is_success(exchange.status_code, exchange.failure_kind):
            # Nearly all calls succeed. `decide` would return the same.
            decision = SUCCESS
            if self._health.observed:
                self._note(job, decision, exchange, number, now)
        else:
            decision = self._judge(attempt, exchange, number, now)
        self._settler.add(
            results.delivered(
                attempt, exchange, decision, now, self._ids.new(now), self._max_body, self._max_head
            )
        )
        self._on_finished(job.lane, end_of(exchange, decision, number))

    def cut_off(self, attempt: Attempt) -> None:
        """Return the job of a cancelled call to the queue, and log the attempt as lost."""
        now, log_id = self._clock.now(), self._ids.new()
        limits = self._max_body, self._max_head
        self._settler.add(results.cut_off(attempt, now, log_id, *limits))
        self._on_finished(attempt.job.lane, CallEnd.NOT_CALLED)

    def not_yet(self, attempt: Attempt, error: Exception) -> None:
        """Return a job to the queue because a key to its request is missing here."""
        now = self._clock.now()
        self._settler.add(results.not_yet(attempt.lease_id, attempt.job, now, error))
        self._on_finished(attempt.job.lane, CallEnd.NOT_CALLED)

    def _postpone(self, attempt: Attempt, exchange: Exchange) -> None:
        """Return a job to the queue without counting the attempt, for lack of a resource here."""
        self._on_shortage(exchange.error)
        now = self._clock.now()
        run_at = now + random.uniform(*_SHORTAGE_DELAY)  # noqa: S311 - spreads load
        if exchange.may_have_arrived:
            log_id = self._ids.new()
            limits = self._max_body, self._max_head
            result = results.interrupted(attempt, exchange, now, run_at, log_id, *limits)
        else:
            result = results.postponed(attempt.lease_id, attempt.job, now, run_at, exchange.error)
        self._settler.add(result)
        self._on_finished(attempt.job.lane, CallEnd.NOT_CALLED)

    def _judge(self, attempt: Attempt, exchange: Exchange, number: int, now: float) -> Decision:
        """Decide on a job whose call did not succeed, and report it to the endpoint's health."""
        job, call = attempt.job, attempt.call
        decision = decide(
            status_code=exchange.status_code,
            failure_kind=exchange.failure_kind,
            attempt=number,
            max_attempts=job.max_attempts,
            policy=call.policy,
            rules=call.rules,
            retry_after=lambda: retry_after_of(exchange.response_head, now),
            now=now,
            created_at=job.created_at,
            deadline=job.deadline,
            draw=random.random,
            due_at=job.due_at,
        )
        self._note(job, decision, exchange, number, now)
        if decision.disable_reaction and job.reaction_id is not None:
            reason = f"the endpoint responded with {exchange.status_code} (gone)"
            self._settler.disable(job.reaction_id, reason)
        return decision

    def _note(
        self, job: ClaimedJob, decision: Decision, exchange: Exchange, number: int, now: float
    ) -> None:
        """Report a reaction's call to the health of its endpoint, if it says anything about it."""
        call_result = classify(decision, exchange.status_code, exchange.failure_kind)
        if (
            job.reaction_id is not None
            and job.reaction_version is not None
            and call_result is not None
        ):
            self._health.note(
                job.reaction_id,
                job.reaction_version,
                call_result,
                exchange.total_ms / 1000,
                lambda: retry_after_of(exchange.response_head, now),
                early=is_early(decision, number),
            )
