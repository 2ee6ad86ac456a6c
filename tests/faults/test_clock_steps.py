"""The clock of a worker's and producer's machine is set by hours, by a preloaded library."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from delivery import JobStatus
from delivery.testing import FailFirst, Receiver, Respond
from tests.support.engines import QUICK_RETRIES, SECRET, all_logs, engine_on, wait_for_all
from tests.support.worker_processes import WorkerProcess

pytestmark = pytest.mark.anyio

LIBRARY: Final = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
HEARTBEAT: Final = {"WORKER_HEARTBEAT_INTERVAL": 120, "WORKER_DEAD_AFTER": 300}
"""The clock is set between two heartbeats, so no heartbeat corrects it."""


def set_clock(file: Path, seconds: int) -> None:
    """Set the clock of programs that were started with `faked`."""
    replacement = file.with_suffix(".new")
    replacement.write_text(f"{seconds:+d}\n", encoding="ascii")
    replacement.rename(file)


def faked(file: Path) -> list[str]:
    return [
        "env",
        f"LD_PRELOAD={LIBRARY}",
        f"FAKETIME_TIMESTAMP_FILE={file}",
        "FAKETIME_NO_CACHE=1",
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
    ]


@pytest.mark.skipif(
    LIBRARY is None, reason="libfaketime is not installed: apt-get install faketime"
)
@pytest.mark.parametrize("step", [3_600, 864_000, -7_200])
async def test_a_worker_signs_and_retries_at_the_right_time_after_its_clock_is_set(
    database_url: str, tmp_path: Path, step: int
) -> None:
    clock = tmp_path / "clock"
    set_clock(clock, 0)
    async with Receiver(default=Respond()) as receiver, engine_on(database_url) as engine:
        receiver.endpoint("/r", FailFirst(1, Respond(500)))
        await engine.reactions.create(
            name="r", url=receiver.url("/r"), secret=SECRET, retry={**QUICK_RETRIES, "base": 0.2}
        )
        with WorkerProcess(database_url, *faked(clock), **HEARTBEAT) as worker:
            (before,) = await wait_for_all(engine, (await engine.trigger("x", 0)).jobs)
            set_clock(clock, step)
            (after,) = await wait_for_all(engine, (await engine.trigger("x", 1)).jobs)
            assert await worker.terminate() == 0
        for job in (before, after):
            assert (job.status, job.attempt) == (JobStatus.SUCCEEDED, 2)
            assert job.finished_at is not None
            assert abs(job.finished_at.timestamp() - time.time()) < 30
        for request in receiver.received:
            signed_at = float(dict(request.headers)["webhook-timestamp"])
            assert abs(signed_at - request.received_at) < 30
        for log in await all_logs(engine):
            assert abs((log.id.int >> 80) / 1000 - log.created_at.timestamp()) < 30


@pytest.mark.parametrize("step", [864_000.0, -864_000.0])
async def test_a_producer_writes_the_right_times_and_ids_after_its_clock_is_set(
    database_url: str, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    right = time.time
    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="r", url="http://127.0.0.1:9/")
        monkeypatch.setattr("time.time", lambda: right() + step)
        now = datetime.fromtimestamp(right(), UTC)
        trigger = await engine.trigger("x", 1, delay=60, deadline=now + timedelta(seconds=90))
        job = await engine.jobs.get(trigger.jobs[0])
        assert abs((job.run_at - now).total_seconds() - 60) < 20
        assert abs((trigger.id.int >> 80) / 1000 - right()) < 30
        assert trigger.created_at.date() == job.created_at.date()
