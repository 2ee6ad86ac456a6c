"""Legal transitions of jobs.

The status `running` is never stored: it is derived from the job's lease, because a claim writes a
lease but not the record. `stored_transitions` returns the transitions between stored statuses,
including those through `running`. A database trigger rejects all others; a test compares the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from delivery.models import JobStatus, TriggerState

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TERMINAL", "TRANSITIONS", "is_legal", "stored_transitions", "trigger_state"]

_S = JobStatus

TERMINAL: Final[frozenset[JobStatus]] = frozenset(
    {_S.SUCCEEDED, _S.FAILED, _S.CANCELED, _S.SKIPPED},
)
"""Statuses that never change."""

TRANSITIONS: Final[dict[JobStatus, frozenset[JobStatus]]] = {
    _S.QUEUED: frozenset({_S.RUNNING, _S.CANCELED, _S.SUSPENDED, _S.SKIPPED, _S.FAILED}),
    _S.RETRYING: frozenset({_S.RUNNING, _S.CANCELED, _S.SUSPENDED, _S.SKIPPED, _S.FAILED}),
    _S.RUNNING: frozenset(
        {
            _S.SUCCEEDED,
            _S.RETRYING,
            _S.FAILED,
            _S.QUEUED,
            _S.CANCELED,
            _S.SUSPENDED,
            _S.SKIPPED,
        },
    ),
    _S.SUSPENDED: frozenset({_S.QUEUED, _S.CANCELED, _S.SKIPPED, _S.FAILED}),
    _S.SUCCEEDED: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELED: frozenset(),
    _S.SKIPPED: frozenset(),
}
"""Legal next statuses for each status."""


def is_legal(source: JobStatus, target: JobStatus) -> bool:
    """Return whether a job may change from `source` to `target`."""
    return target in TRANSITIONS[source]


def stored_transitions() -> frozenset[tuple[JobStatus, JobStatus]]:
    """Return the pairs of different stored statuses between which an UPDATE is legal.

    `running` is never stored, so a transition is either direct or passes through `running`.
    """
    stored = [status for status in JobStatus if status is not JobStatus.RUNNING]
    return frozenset(
        (source, target)
        for source in stored
        for target in stored
        if source is not target
        and (
            is_legal(source, target)
            or (is_legal(source, JobStatus.RUNNING) and is_legal(JobStatus.RUNNING, target))
        )
    )


def trigger_state(counts: Mapping[JobStatus, int]) -> TriggerState:
    """Return the combined state of jobs, from the number of jobs in each status."""
    present = {status for status, count in counts.items() if count}
    if not present:
        return TriggerState.NO_JOBS
    if present - TERMINAL:
        return TriggerState.PENDING
    return TriggerState(present.pop()) if len(present) == 1 else TriggerState.MIXED
