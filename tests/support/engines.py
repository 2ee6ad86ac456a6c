"""An engine on a test's database, with settings for fast tests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import delivery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from uuid import UUID

__all__ = ["LOOPBACK", "QUICK_RETRIES", "SECRET", "all_logs", "engine_on", "wait_for_all"]

LOOPBACK: Final = {"allowed_networks": ["127.0.0.0/8", "::1/128"]}
SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
QUICK_RETRIES: Final = {"strategy": "constant", "base": 0.02, "jitter": 0, "max_attempts": 4}


@asynccontextmanager
async def engine_on(
    url: str, *, notifications: bool = True, **sections: Any
) -> AsyncIterator[delivery.Engine]:
    """Open an engine that may call loopback.

    On a slow machine, workers are not reaped and calls do not time out. Tests of dead workers and
    timeouts set `dead_after` and `timeout`.
    """
    worker = {
        "poll_max": 0.2,
        "heartbeat_interval": 0.2,
        "dead_after": 30.0,
        "notifications": notifications,
        **sections.pop("worker", {}),
    }
    http = {**LOOPBACK, "timeout": 60.0, "connect_timeout": 60.0, **sections.pop("http", {})}
    database = {"connect_timeout": 30.0, **sections.pop("database", {})}
    sections.setdefault("partitions", {"days_ahead": 1})
    async with delivery.connect(
        url, worker=worker, http=http, database=database, **sections
    ) as engine:
        yield engine


async def wait_for_all(
    engine: delivery.Engine, jobs: Iterable[UUID], timeout: float = 60.0
) -> list[delivery.Job]:
    """Wait until all given jobs are terminal."""
    return [await engine.jobs.wait(job, timeout=timeout) for job in jobs]


async def all_logs(engine: delivery.Engine, **where: Any) -> list[delivery.DeliveryLog]:
    """Return all log rows, oldest first."""
    return [log async for log in engine.logs.iterate(**where)]
