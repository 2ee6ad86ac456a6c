"""Workers of two versions run concurrently while the schema is migrated under load."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from delivery.models import JobStatus, Outcome
from delivery.testing import Receiver, Respond
from tests.support.conditions import until
from tests.support.engines import all_logs, engine_on
from tests.support.worker_processes import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from delivery import Engine

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
BATCH = 20
SOME = 200
"""Number of deliveries that a step of the deploy waits for."""

NEXT = """-- additive: jobs have notes
ALTER TABLE delivery.jobs ADD COLUMN note text;
ALTER TABLE delivery.waiting_jobs ADD COLUMN note text;
ALTER TABLE delivery.delivery_logs ADD COLUMN note text;
ALTER TABLE delivery.reactions ADD COLUMN note text;
CREATE TABLE delivery.notes (id uuid PRIMARY KEY);
CREATE TYPE delivery.settlement_v2 AS ({fields}, note text);
CREATE OR REPLACE VIEW delivery.logs_with_body AS {view};
"""
AFTER_NEXT = "-- additive: notes have authors\nALTER TABLE delivery.notes ADD COLUMN author text;\n"


def replaced(file: Path, old: str, new: str) -> None:
    """Replace the only occurrence of a string in a file."""
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")


def next_version(directory: Path) -> Path:
    """Copy the code and change it as the next version would: new columns, another settlement."""
    tree = directory / "next"
    for name in ("delivery", "migrations", "tests/support"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "tests/__init__.py", tree / "tests")
    queue = (ROOT / "migrations/0003_queue.sql").read_text(encoding="utf-8")
    fields = queue.partition("settlement_v1 AS (")[2].partition("\n);")[0]
    view = queue.partition("VIEW delivery.logs_with_body AS")[2].partition(";")[0]
    view = view.replace("logs.created_at\n", "logs.created_at,\n    logs.note\n")
    number = len(list((ROOT / "migrations").glob("*.sql"))) + 1
    (tree / f"migrations/{number:04}_notes.sql").write_text(
        NEXT.format(fields=fields, view=view), encoding="utf-8"
    )
    replaced(tree / "delivery/store/sql/settle.sql", "unnest($3::delivery.settlement_v1[])", NEWER)
    replaced(
        tree / "delivery/store/settlements.py",
        "    stalled: bool = False\n",
        '    stalled: bool = False\n    note: str | None = "by the next version"\n',
    )
    return tree


NEWER = "unnest($3::delivery.settlement_v2[])"


def run(tree: Path, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line of a version of the code."""
    return subprocess.run(
        [sys.executable, "-m", "delivery", *arguments, "--database-url", url],
        cwd=tree,
        env={**os.environ, "DELIVERY_PARTITIONS_DAYS_AHEAD": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@asynccontextmanager
async def load(engine: Engine) -> AsyncIterator[list[UUID]]:
    """Write triggers until the end of the block; the list has the ids of their jobs."""
    jobs: list[UUID] = []
    ended = asyncio.Event()

    async def write() -> None:
        while not ended.is_set():
            for _ in range(BATCH):
                jobs.extend((await engine.trigger("order.paid", {"n": len(jobs)})).jobs)
            await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    try:
        yield jobs
    finally:
        ended.set()
        await writing


async def test_an_older_worker_works_with_a_schema_one_additive_step_newer(
    database_url: str, tmp_path: Path
) -> None:
    newer = next_version(tmp_path)
    async with Receiver(default=Respond()) as receiver, engine_on(database_url) as engine:
        await engine.reactions.create(name="r", url=receiver.url("/ok"))

        async def delivered_more(than: int) -> None:
            async def reached() -> bool:
                return receiver.count() >= than + SOME

            await until(reached, 30)

        async with load(engine) as jobs:
            with WorkerProcess(database_url) as old:
                await old.ready()
                await delivered_more(0)
                migrated = await asyncio.to_thread(run, newer, database_url, "migrate")
                assert migrated.returncode == 0, migrated.stderr
                await delivered_more(receiver.count())
                with WorkerProcess(database_url, "env", f"--chdir={newer}") as new:
                    await new.ready()
                    await delivered_more(receiver.count())
                    assert await old.terminate() == 0
                    await delivered_more(receiver.count())
                    # The older version can also start again, as in a rollback of the deploy.
                    with WorkerProcess(database_url) as rolled_back:
                        await rolled_back.ready()
                        assert await new.terminate() == 0
                        await delivered_more(receiver.count())
                        await asyncio.to_thread(_add_one_more, newer, database_url)
                        assert await rolled_back.terminate() == 0
        refused = await asyncio.to_thread(run, ROOT, database_url, "worker")
        assert refused.returncode == 3
        assert "2 versions newer" in refused.stderr
        with WorkerProcess(database_url, "env", f"--chdir={newer}") as new:
            await new.ready()
            for job_id in jobs:
                job = await engine.jobs.wait(job_id, timeout=30)
                assert job.status is JobStatus.SUCCEEDED
            assert await new.terminate() == 0
        assert set(receiver.counts.values()) == {1}, "no delivery was made twice"
        logs = await all_logs(engine)
        assert {log.outcome for log in logs} == {Outcome.SUCCEEDED}
        assert len(logs) == len(jobs)
        assert len({log.worker_id for log in logs}) == 4


def _add_one_more(tree: Path, url: str) -> None:
    """Apply a second migration, which the older version does not accept."""
    number = len(list((tree / "migrations").glob("*.sql"))) + 1
    (tree / f"migrations/{number:04}_authors.sql").write_text(AFTER_NEXT, encoding="utf-8")
    migrated = run(tree, url, "migrate")
    assert migrated.returncode == 0, migrated.stderr
