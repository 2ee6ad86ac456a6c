"""The one table of legal job transitions.

A record in the database never says `running`: that word is derived from the job's lease (a claim
writes a lease and leaves the record alone). `stored_transitions` therefore gives the pairs as the
database sees them, with `running` passed through; the migration's trigger refuses all others, and a
test holds the two together.
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
"""States that never change."""

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
"""From each state, the states a job may go to next, and no others."""


def is_legal(source: JobStatus, target: JobStatus) -> bool:
    """Whether a job may go from `source` to `target`."""
    return target in TRANSITIONS[source]


def stored_transitions() -> frozenset[tuple[JobStatus, JobStatus]]:
    """The pairs of different stored states that an UPDATE of a record may make.

    `running` is never stored, so each pair leads either directly, or through `running`.
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
