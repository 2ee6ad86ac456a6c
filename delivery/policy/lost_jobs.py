"""What becomes of a job whose worker died."""

from __future__ import annotations

from delivery.models import JobStatus

__all__ = ["after_stall"]


def after_stall(stalls: int, max_stalls: int) -> JobStatus:
    """The state of a job that lost its worker for the `stalls`th time.

    It runs again at once, without using up an attempt; but a job that takes its workers down with
    it must end, so after more than `max_stalls` such losses it fails.
    """
    return JobStatus.RETRYING if stalls <= max_stalls else JobStatus.FAILED
