"""Jobs finished by this process, so that waiting callers poll less."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from delivery.lifecycle import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from delivery.store.settlements import Settlement

__all__ = ["FinishedJobs"]


class FinishedJobs:
    """Registry of watched jobs, with an event for each final state written by this process."""

    def __init__(self) -> None:
        self._watchers: dict[UUID, set[asyncio.Event]] = {}

    @contextmanager
    def watched(self, *job_ids: UUID) -> Iterator[asyncio.Event]:
        """Yield an event that is set when one of these jobs finishes."""
        event = asyncio.Event()
        for job_id in job_ids:
            self._watchers.setdefault(job_id, set()).add(event)
        try:
            yield event
        finally:
            for job_id in job_ids:
                self._watchers[job_id].discard(event)
                if not self._watchers[job_id]:
                    del self._watchers[job_id]

    def settled(self, batch: Sequence[Settlement]) -> None:
        """Record a batch of written results."""
        if not self._watchers:
            return
        for settlement in batch:
            if settlement.status in TERMINAL:
                for event in self._watchers.get(settlement.job_id, ()):
                    event.set()
