"""`delivery worker --processes`: several processes share the work, are replaced, and stop."""

from __future__ import annotations

import os
import signal
import sys
from asyncio import create_subprocess_exec
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import psutil
import pytest

import delivery
from delivery import JobStatus, TriggerRequest
from delivery.embedded.server import start_embedded
from delivery.testing import Receiver, Respond
from tests.cli.running import LOOPBACK, Program, call, running
from tests.support.conditions import until
from tests.support.engines import all_logs, engine_on, wait_for_all

if TYPE_CHECKING:
    from uuid import UUID

    from delivery import Engine

pytestmark = pytest.mark.anyio

QUICK = (
    *("--set", "worker.heartbeat_interval=0.3", "--set", "worker.dead_after=4"),
    *("--set", "worker.concurrency=4", "--set", "worker.batch_size=8"),
    *("--set", "worker.max_stalls=100", "--set", "partitions.days_ahead=1"),
)


def supervised(url: str, *more: str) -> Any:
    return running(
        *("worker", "--processes", "2", "--json", "--database-url", url), *LOOPBACK, *QUICK, *more
    )


async def children(program: Program) -> list[int]:
    """Return the process ids after both have started."""
    started = await program.object()
    assert started["processes"] == 2
    return [(await program.object())["pid"] for _ in range(2)]


async def trigger_all(engine: Engine, receiver: Receiver, count: int) -> list[UUID]:
    await engine.reactions.create(name="r", url=receiver.url("/r"))
    triggers = await engine.trigger_many([TriggerRequest("x", n) for n in range(count)])
    return [job for trigger in triggers for job in trigger.jobs]


async def both_live(engine: Engine) -> bool:
    return await engine.living_workers() == 2


async def gone(pid: int) -> None:
    with anyio.fail_after(60):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            await anyio.sleep(0.02)


async def test_processes_share_the_work_and_stop_together(database_url: str) -> None:
    async with Receiver(default=Respond(delay=0.02)) as receiver, engine_on(database_url) as engine:
        async with supervised(database_url) as program:
            pids = await children(program)
            # A process that starts later than the other might find no job.
            await until(lambda: both_live(engine))
            jobs = await trigger_all(engine, receiver, 300)
            await wait_for_all(engine, jobs)
            ended = await program.stop()
        assert ended.code == 0, ended.err
        assert ended.objects[-1]["event"] == "stopped"
        for pid in pids:
            assert not psutil.pid_exists(pid)
        assert len({log.worker_id for log in await all_logs(engine)}) == 2, "both of them worked"


async def test_a_killed_process_is_replaced_and_no_job_is_lost(database_url: str) -> None:
    async with Receiver(default=Respond(delay=0.02)) as receiver, engine_on(database_url) as engine:
        jobs = await trigger_all(engine, receiver, 400)
        async with supervised(database_url) as program:
            victim, other = await children(program)
            await receiver.wait_for(50, timeout=60)
            os.kill(victim, signal.SIGKILL)
            replaced = await program.object()
            assert replaced["replaces"] == victim
            assert replaced["pid"] not in {victim, other}
            done = await wait_for_all(engine, jobs)
            ended = await program.stop()
        assert {job.status for job in done} == {JobStatus.SUCCEEDED}
        assert ended.code == 0, ended.err
        assert f"worker process {victim} ended with SIGKILL" in ended.err


async def test_processes_end_when_their_supervisor_is_killed(database_url: str) -> None:
    async with Receiver(default=Respond(delay=0.02)) as receiver, engine_on(database_url) as engine:
        await trigger_all(engine, receiver, 50)
        async with supervised(database_url) as program:
            pids = await children(program)
            await receiver.wait_for(20, timeout=60)
            await program.stop(signal.SIGKILL)
        for pid in pids:
            await gone(pid)
        assert await engine._pool.fetchval("SELECT count(*) FROM delivery.leases") == 0


async def test_a_second_ctrl_c_stops_the_processes_immediately(database_url: str) -> None:
    async with Receiver(default=Respond(delay=300)) as receiver, engine_on(database_url) as engine:
        await trigger_all(engine, receiver, 4)
        patient = ("--set", "worker.shutdown_timeout=300", "--set", "http.timeout=300")
        async with supervised(database_url, *patient) as program:
            await children(program)
            await receiver.wait_for(4, timeout=60)
            program._process.send_signal(signal.SIGINT)
            await program.noted("stopping")
            with anyio.fail_after(60):
                ended = await program.stop(signal.SIGINT)
        assert ended.code == 0, ended.err
        assert await engine._pool.fetchval("SELECT count(*) FROM delivery.leases") == 0


async def test_no_command_line_contains_the_database_password(database_url: str) -> None:
    async with supervised(database_url) as program:
        for pid in await children(program):
            assert database_url not in " ".join(psutil.Process(pid).cmdline())
        await program.stop()


async def test_processes_use_the_embedded_database_and_settings_of_their_parent(
    short_directory: Path,
) -> None:
    config = short_directory / "delivery.toml"
    config.write_text(
        f"[database]\nembedded_directory = '{short_directory / 'embedded'}'\n"
        "[worker]\nprocesses = 2\n"
        "[http]\nallowed_networks = ['127.0.0.0/8']\nuser_agent = 'from the file'\n"
        "[partitions]\ndays_ahead = 1\n"
    )
    arguments = ("serve", "--json", "--config", str(config))
    async with Receiver(default=Respond()) as receiver, running(*arguments) as program:
        await children(program)
        embedded = await start_embedded(short_directory / "embedded")
        try:
            async with engine_on(embedded.url) as engine:
                await wait_for_all(engine, await trigger_all(engine, receiver, 1))
        finally:
            await embedded.close()
        ended = await program.stop()
    assert ended.code == 0, ended.err
    assert [request.header("user-agent") for request in receiver.received] == ["from the file"]


async def test_files_in_the_working_directory_are_not_imported(
    database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "queue.py").write_text("raise SystemExit('not the one that was meant')")
    # Start it like the installed command: the working directory is not on the module path.
    command = "import sys; from delivery.cli import main; sys.exit(main())"
    process = await create_subprocess_exec(
        *(sys.executable, "-P", "-c", command),
        *("worker", "--processes", "2", "--json", "--database-url", database_url, *LOOPBACK),
        stdout=PIPE,
        stderr=PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(delivery.__file__).parents[1])},
    )
    async with Receiver(default=Respond()) as receiver, engine_on(database_url) as engine:
        try:
            await wait_for_all(engine, await trigger_all(engine, receiver, 1))
        finally:
            ended = await Program(process).stop()
    assert ended.code == 0, ended.err
    assert "ended with" not in ended.err


@pytest.mark.parametrize("value", ["0", "-1", "1000", "many"])
async def test_an_invalid_number_of_processes_is_refused(value: str) -> None:
    refused = await call("worker", f"--processes={value}")
    assert refused.code == 2
    assert len(refused.err.splitlines()) == 1
    assert "processes" in refused.err.lower()


async def test_an_unreachable_database_is_reported_before_any_process_starts() -> None:
    refused = await call(
        *("worker", "--processes", "2", "--database-url", "postgresql://127.0.0.1:9/none")
    )
    assert refused.code == 3
    assert "started" not in refused.out
