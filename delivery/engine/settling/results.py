"""Results of claimed jobs, as rows that record them: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from delivery.engine.runners.prepared_calls import UnreadableCall
from delivery.errors import MissingKey
from delivery.message.request.head import cut_head
from delivery.message.storage.exchanges import (
    is_cut_off,
    storable_body,
    storable_head,
    storable_text,
)
from delivery.models import FailureKind, JobStatus, Outcome, ReactionState
from delivery.policy.outcome import Decision
from delivery.policy.retry import elapsed
from delivery.store.settlements import Settlement

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.engine.runners.attempt import Attempt
    from delivery.engine.runners.prepared_calls import PreparedCall
    from delivery.message.request.template import Rendered
    from delivery.models import Exchange
    from delivery.store.queue import ClaimedJob

__all__ = [
    "cut_off",
    "delivered",
    "failed_unsent",
    "handed_back",
    "interrupted",
    "not_yet",
    "postponed",
    "refusal",
    "skipped",
    "too_late",
]

_RETRIED_AFTER: Final = 60.0
"""Seconds after which a job runs again whose call could not be prepared."""

_SKIPPED: Final[dict[str | None, str]] = {
    ReactionState.DISABLED: "reaction_disabled",
    ReactionState.DELETED: "reaction_deleted",
}
"""Reasons to skip a job, by the state of its reaction."""

_LAST_FAILURE: Final = "; last failure: "

_CUT_OFF: Final = "the worker stopped before the call ended; the request may have been received"
_ABORTED: Final = "the call was aborted ({}); the request may have been received"


def delivered(
    attempt: Attempt,
    exchange: Exchange,
    decision: Decision,
    now: float,
    log_id: UUID,
    max_body: int,
    max_head: int,
) -> Settlement:
    """Return the result of an attempt that has ended.

    Args:
        attempt: Attempt.
        exchange: Exchange of the attempt, or an empty one for an attempt that failed without.
        decision: Decision on the job.
        now: Time of the end.
        log_id: Id of the log row.
        max_body: Number of bytes of a body that are stored.
        max_head: Number of bytes of a head that are stored.
    """
    job, call, rendered = attempt.job, attempt.call, attempt.rendered
    scrubber, redacted_url, head, body, size = call.scrubber, call.redacted_url, None, None, None
    if rendered is not None:
        scrubber = rendered.scrubber or scrubber
        redacted_url = rendered.redacted_url or redacted_url
        head = rendered.stored_head
        if len(head) > max_head:
            head = cut_head(head, max_head)
        size = len(rendered.plain_body)
        if not call.template.sends_payload or rendered.scrubber is not None:
            body = _request_body(job, call, rendered, max_body)
    # By position: one is made for every delivery, and thirty keyword arguments double its cost.
    return Settlement(
        attempt.lease_id,
        job.job_id,
        job.claim,
        job.lane,
        job.priority,
        decision.status,
        job.attempt + 1,
        job.uncounted,
        decision.run_at,
        decision.exhausted,
        decision.failure_kind,
        None if exchange.error is None else storable_text(exchange.error, scrubber),
        exchange.status_code,
        now,
        log_id,
        job.trigger_id,
        job.reaction_id,
        job.tenant_id,
        decision.outcome,
        call.method,
        redacted_url,
        exchange.total_ms,
        exchange.dns_ms,
        exchange.connect_ms,
        exchange.tls_ms,
        exchange.send_ms,
        exchange.first_byte_ms,
        exchange.remote_address,
        exchange.reused,
        exchange.truncated,
        head,
        body,
        size,
        storable_head(exchange.earlier_heads + exchange.response_head, scrubber, max_head),
        storable_body(exchange.response_body, scrubber, max_body, cut=is_cut_off(exchange)),
        exchange.response_size,
    )


def _request_body(
    job: ClaimedJob, call: PreparedCall, rendered: Rendered, max_body: int
) -> bytes | None:
    """Return the body to store, or None if it is the job's payload, which is stored already."""
    if call.template.sends_payload and rendered.plain_body is job.payload:
        return None
    return storable_body(rendered.plain_body, rendered.scrubber or call.scrubber, max_body)


def _unlogged(
    lease_id: UUID,
    job: ClaimedJob,
    now: float,
    status: JobStatus,
    failure_kind: FailureKind | None = None,
    error: str | None = None,
) -> Settlement:
    return Settlement(
        lease_id=lease_id,
        job_id=job.job_id,
        claim=job.claim,
        lane=job.lane,
        priority=job.priority,
        status=status.value,
        attempt=job.attempt,
        uncounted=job.uncounted,
        run_at=None,
        exhausted=False,
        failure_kind=None if failure_kind is None else failure_kind.value,
        error=None if error is None else error.replace("\0", "\ufffd"),
        status_code=None,
        finished_at=now,
        trigger_id=job.trigger_id,
        reaction_id=job.reaction_id,
        tenant_id=job.tenant_id,
    )


def handed_back(
    lease_id: UUID, job: ClaimedJob, now: float, *, reason: str | None = None
) -> Settlement:
    """Return the job to the queue before its call began.

    Args:
        lease_id: Lease of the job.
        job: Job.
        now: Present time.
        reason: Reason for which the attempt was aborted. None if the worker stops.
    """
    error = None
    if reason is not None:
        error = _with_last_failure(f"the attempt was aborted before the call: {reason}", job)
    return _unlogged(lease_id, job, now, JobStatus.QUEUED, None, error)


def _with_last_failure(reason: str, job: ClaimedJob) -> str:
    """Return the reason why a job waits, with the error of its last attempt if that failed."""
    if job.failure_kind is None or not job.error:
        return reason
    # The job may have waited before, for this reason or another.
    _, _, last = job.error.rpartition(_LAST_FAILURE)
    return f"{reason}{_LAST_FAILURE}{last}"


def postponed(
    lease_id: UUID, job: ClaimedJob, now: float, run_at: float, reason: str | None
) -> Settlement:
    """Return the job to the queue with its attempt: this worker could not make the call."""
    error = _with_last_failure(f"the call could not be made yet: {reason}", job)
    return _unlogged(lease_id, job, now, JobStatus.QUEUED, None, error)._replace(run_at=run_at)


def not_yet(lease_id: UUID, job: ClaimedJob, now: float, error: Exception) -> Settlement:
    """Return the job to the queue because its call cannot be read or decrypted here yet."""
    reason = _with_last_failure(f"the call cannot be made yet: {error}", job)
    waiting = _unlogged(lease_id, job, now, JobStatus.QUEUED, None, reason)
    return waiting._replace(run_at=now + _RETRIED_AFTER)


def skipped(lease_id: UUID, job: ClaimedJob, now: float, reason: str) -> Settlement:
    """Skip the job: its call is deliberately not made."""
    return _unlogged(lease_id, job, now, JobStatus.SKIPPED, error=reason)


def failed_unsent(
    lease_id: UUID, job: ClaimedJob, now: float, kind: FailureKind, error: str
) -> Settlement:
    """Fail the job: its call can no longer be made."""
    return _unlogged(lease_id, job, now, JobStatus.FAILED, kind, error)


def cut_off(attempt: Attempt, now: float, log_id: UUID, max_body: int, max_head: int) -> Settlement:
    """Return the job to the queue in the middle of its call, since that was aborted.

    The request may have arrived, so it is logged. The attempt retains its number, which is unique
    among the log rows of the job, but does not count towards `max_attempts`.
    """
    job, call, rendered = attempt.job, attempt.call, attempt.rendered
    error = _CUT_OFF
    if attempt.abort_reason is not None:
        error = _ABORTED.format(storable_text(attempt.abort_reason, call.scrubber))
    return _unlogged(attempt.lease_id, job, now, JobStatus.QUEUED)._replace(
        attempt=job.attempt + 1,
        uncounted=job.uncounted + 1,
        log_id=log_id,
        outcome=Outcome.LOST.value,
        error=error,
        method=call.method,
        endpoint=call.redacted_url,
        request_head=None if rendered is None else cut_head(rendered.stored_head, max_head),
        request_body=None if rendered is None else _request_body(job, call, rendered, max_body),
        request_size=None if rendered is None else len(rendered.plain_body),
    )


def interrupted(
    attempt: Attempt,
    exchange: Exchange,
    now: float,
    run_at: float,
    log_id: UUID,
    max_body: int,
    max_head: int,
) -> Settlement:
    """Return the job to the queue after a request was sent that this worker could not complete.

    The attempt is logged like one that was cut off, together with the exchange up to that point.
    """
    decision = Decision(JobStatus.QUEUED, Outcome.LOST, run_at)
    exchange.error = (
        f"the request may have been received, but the call could not be completed: {exchange.error}"
    )
    result = delivered(attempt, exchange, decision, now, log_id, max_body, max_head)
    return result._replace(uncounted=attempt.job.uncounted + 1)


def too_late(lease_id: UUID, job: ClaimedJob, call: PreparedCall, now: float) -> Settlement | None:
    """Return the result of a job that must not start another attempt; None if it may.

    Checked after the claim and right before the call: a job may wait in between.
    """
    return _past_deadline(lease_id, job, now) or _past_max_elapsed(lease_id, job, call, now)


def _past_deadline(lease_id: UUID, job: ClaimedJob, now: float) -> Settlement | None:
    if job.deadline is None or now < job.deadline:
        return None
    return failed_unsent(
        lease_id,
        job,
        now,
        FailureKind.DEADLINE,
        "the deadline passed before the call could start",
    )


def _past_max_elapsed(
    lease_id: UUID, job: ClaimedJob, call: PreparedCall, now: float
) -> Settlement | None:
    policy = call.policy
    if policy.max_elapsed is None or not elapsed(
        policy,
        attempts=job.attempt - job.uncounted,
        created_at=job.created_at,
        due_at=job.due_at,
        now=now,
    ):
        return None
    # The reason is added to the last failure. No attempt was made, so none is logged.
    reason = f"not tried again: max_elapsed of {policy.max_elapsed:.15g} s was over"
    error = reason if job.error is None else f"{job.error}; {reason}"
    return _unlogged(lease_id, job, now, JobStatus.FAILED, None, error)._replace(
        exhausted=True,
        failure_kind=job.failure_kind or FailureKind.INTERNAL.value,
        status_code=job.status_code,
    )


def _without_call(lease_id: UUID, job: ClaimedJob, reason: Exception, now: float) -> Settlement:
    if isinstance(reason, (MissingKey, UnreadableCall)):
        return not_yet(lease_id, job, now, reason)
    error = f"the call cannot be made: {reason}"
    return failed_unsent(lease_id, job, now, FailureKind.MISCONFIGURED, error)


def refusal(
    lease_id: UUID, job: ClaimedJob, call: PreparedCall | Exception, now: float
) -> Settlement | None:
    """Return the result of a claimed job that must not run; None if it may."""
    if job.reaction_state in _SKIPPED:
        return skipped(lease_id, job, now, _SKIPPED[job.reaction_state])
    if isinstance(call, Exception):
        late = _past_deadline(lease_id, job, now)
        return _without_call(lease_id, job, call, now) if late is None else late
    late = None
    if job.deadline is not None or call.policy.max_elapsed is not None:
        late = too_late(lease_id, job, call, now)
    if late is None and job.payload is None:
        return failed_unsent(
            lease_id,
            job,
            now,
            FailureKind.MISCONFIGURED,
            "the payload is no longer in the database",
        )
    return late
