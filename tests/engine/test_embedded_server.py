"""An engine on the embedded PostgreSQL outlives its server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import psutil
import pytest

import delivery
from delivery import JobStatus
from delivery.store.failures import CONNECTION_ERRORS
from delivery.testing import Answer, Receiver
from tests.support.engines import LOOPBACK

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_an_embedded_server_that_is_killed_is_started_again_by_who_uses_it(
    short_directory: Path,
) -> None:
    database = {"embedded_directory": short_directory / "embedded"}
    worker = {"poll_max": 0.2, "heartbeat_interval": 0.3}
    async with (
        Receiver(default=Answer()) as receiver,
        delivery.connect(
            database=database, worker=worker, http=LOOPBACK, partitions={"days_ahead": 1}
        ) as engine,
        engine.workers(),
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        before = await engine.trigger("x", 1)
        await engine.jobs.wait(before.jobs[0], timeout=10)
        for process in psutil.process_iter(["cmdline"]):
            if str(short_directory) in " ".join(process.info["cmdline"] or ()):
                process.kill()
        trigger = None
        while trigger is None:
            try:
                trigger = await engine.trigger("x", 2)
            except CONNECTION_ERRORS:
                await anyio.sleep(0.05)
        done = await engine.jobs.wait(trigger.jobs[0], timeout=20)
        assert done.status is JobStatus.SUCCEEDED
