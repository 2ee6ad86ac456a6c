"""An engine on the embedded PostgreSQL outlives its server."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, TypeVar

import anyio
import psutil
import pytest

import delivery
from delivery import JobStatus
from delivery.store.driver.failures import CONNECTION_ERRORS
from delivery.testing import Receiver, Respond
from tests.support.engines import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio

Result = TypeVar("Result")


async def kill_server(directory: Path) -> None:
    """Kill every process of the server in `directory`, and wait until they are gone."""
    processes = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(directory) in " ".join(process.info["cmdline"] or ())
    ]
    children = [child for process in processes for child in process.children(recursive=True)]
    killed = {*processes, *children}
    for process in killed:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    _gone, alive = await anyio.to_thread.run_sync(lambda: psutil.wait_procs(killed, timeout=60))
    assert not alive


async def once_back(call: Callable[[], Awaitable[Result]]) -> Result:
    """Return the result of `call`, repeated while the server cannot be reached."""
    with anyio.fail_after(60):
        while True:
            try:
                return await call()
            except CONNECTION_ERRORS:
                await anyio.sleep(0.05)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_an_embedded_server_that_is_killed_is_started_again_by_who_uses_it(
    short_directory: Path,
) -> None:
    database = {"embedded_directory": short_directory / "embedded"}
    worker = {"poll_max": 0.2, "heartbeat_interval": 0.3}
    async with (
        Receiver(default=Respond()) as receiver,
        delivery.connect(
            database=database, worker=worker, http=LOOPBACK, partitions={"days_ahead": 1}
        ) as engine,
        engine.workers(),
    ):
        await engine.reactions.create(name="r", url=receiver.url("/r"))
        before = await engine.trigger("x", 1)
        await engine.jobs.wait(before.jobs[0], timeout=60)
        await kill_server(short_directory)
        trigger = await once_back(lambda: engine.trigger("x", 2))
        done = await once_back(lambda: engine.jobs.wait(trigger.jobs[0], timeout=60))
        assert done.status is JobStatus.SUCCEEDED
