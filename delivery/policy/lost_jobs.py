"""Decision on a job whose worker died."""

from __future__ import annotations

from delivery.models import JobStatus

__all__ = ["after_stall"]


def after_stall(stalls: int, max_stalls: int) -> JobStatus:
    """Return the state of a job that has lost its worker `stalls` times.

    The job runs again immediately, and the lost attempt does not count. A job that crashes its
    workers must not loop, so it fails after more than `max_stalls` losses.
    """
    return JobStatus.RETRYING if stalls <= max_stalls else JobStatus.FAILED
