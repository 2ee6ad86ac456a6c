"""The record of one attempt: the decision about its job, its log row, its endpoint's health."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from delivery.engine.settling import results
from delivery.policy.endpoint_health import classify, is_early
from delivery.policy.outcome import SUCCESS, decide
from delivery.policy.retry_after import retry_after_of
from delivery.queue.windows import CallEnd, end_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from delivery.clock import Clock, IdFactory
    from delivery.engine.endpoint_health import EndpointHealthTracker
    from delivery.engine.runners.prepared_calls import PreparedCall
    from delivery.engine.settling.settler import Settler
    from delivery.message.request.template import Rendered
    from delivery.models import Exchange
    from delivery.policy.outcome import Decision
    from delivery.settings import LogSettings
    from delivery.store.queue import ClaimedJob

__all__ = ["AttemptRecorder"]

_POSTPONED_BY: Final = (1.0, 3.0)
"""Bounds of the random delay, in seconds, before a job that this process could not call is retried.
"""


class AttemptRecorder:
    """Turns the end of a call into a result for the settler.

    Args:
        settler: Writes the results.
        health: Receives the outcome of calls that say something about the endpoint.
        clock: Dates the results.
        ids: Makes the ids of log rows.
        settings: Limit the stored part of heads and bodies.
        on_finished: Called with the lane of each job and the way its call ended.
    """

    __slots__ = ("_clock", "_health", "_ids", "_max_body", "_max_head", "_on_finished", "_settler")

    def __init__(
        self,
        settler: Settler,
        health: EndpointHealthTracker,
        clock: Clock,
        ids: IdFactory,
        settings: LogSettings,
        *,
        on_finished: Callable[[UUID, CallEnd], None],
    ) -> None:
        self._settler = settler
        self._health = health
        self._clock = clock
        self._ids = ids
        self._max_body, self._max_head = settings.max_body, settings.max_head
        self._on_finished = on_finished

    def conclude(
        self,
        lease_id: UUID,
        job: ClaimedJob,
        call: PreparedCall,
        rendered: Rendered | None,
        exchange: Exchange,
    ) -> None:
        """Decide what the exchange means for the job, and record both."""
        now = self._clock.now()
        attempt = job.attempt + 1 - job.uncounted
        if call.rules.is_success(exchange.status_code, exchange.failure_kind):
            # Nearly all calls succeed. `decide` would return the same.
            decision = SUCCESS
            if self._health.observed:
                self._note(job, decision, exchange, attempt, now)
        else:
            decision = self._judge(job, call, exchange, attempt, now)
        self._settler.add(
            results.delivered(
                lease_id,
                job,
                call,
                rendered,
                exchange,
                decision,
                now,
                self._ids.new(now),
                self._max_body,
                self._max_head,
            )
        )
        self._on_finished(job.lane, end_of(exchange, decision, attempt))

    def cut_off(
        self, lease_id: UUID, job: ClaimedJob, call: PreparedCall, rendered: Rendered | None
    ) -> None:
        """Return the job of a cancelled call to the queue, and log the attempt as lost."""
        now, log_id = self._clock.now(), self._ids.new()
        limits = self._max_body, self._max_head
        self._settler.add(results.cut_off(lease_id, job, call, rendered, now, log_id, *limits))
        self._on_finished(job.lane, CallEnd.NOT_CALLED)

    def not_yet(self, lease_id: UUID, job: ClaimedJob, error: Exception) -> None:
        """Return a job to the queue because a key to its request is missing here."""
        self._settler.add(results.not_yet(lease_id, job, self._clock.now(), error))
        self._on_finished(job.lane, CallEnd.NOT_CALLED)

    def postpone(
        self,
        lease_id: UUID,
        job: ClaimedJob,
        call: PreparedCall,
        rendered: Rendered | None,
        exchange: Exchange,
    ) -> None:
        """Hand a job back without counting an attempt, since this process lacks a resource."""
        now = self._clock.now()
        run_at = now + random.uniform(*_POSTPONED_BY)  # noqa: S311 - spreads load
        if exchange.may_have_arrived:
            log_id = self._ids.new()
            limits = self._max_body, self._max_head
            result = results.interrupted(
                lease_id, job, call, rendered, exchange, now, run_at, log_id, *limits
            )
        else:
            result = results.postponed(lease_id, job, now, run_at, exchange.error)
        self._settler.add(result)
        self._on_finished(job.lane, CallEnd.NOT_CALLED)

    def _judge(
        self, job: ClaimedJob, call: PreparedCall, exchange: Exchange, attempt: int, now: float
    ) -> Decision:
        """Decide about a job whose call did not succeed, and report it to the endpoint's health."""
        decision = decide(
            status_code=exchange.status_code,
            failure_kind=exchange.failure_kind,
            attempt=attempt,
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
        self._note(job, decision, exchange, attempt, now)
        if decision.disable_reaction and job.reaction_id is not None:
            reason = f"the endpoint responded with {exchange.status_code} (gone)"
            self._settler.disable(job.reaction_id, reason)
        return decision

    def _note(
        self, job: ClaimedJob, decision: Decision, exchange: Exchange, attempt: int, now: float
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
                early=is_early(decision, attempt),
            )
