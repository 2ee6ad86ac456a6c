"""Kinds of WAL records between two positions, as reported by `pg_waldump`."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from delivery.store.driver.connection import Connection

__all__ = ["kinds_of_records"]

_WHERE: Final = """
SELECT
    (SELECT setting FROM pg_config WHERE name = 'BINDIR'),
    current_setting('data_directory'),
    pg_current_wal_flush_lsn()::text
FROM pg_roles
WHERE rolname = current_user AND rolsuper
"""
_LINE: Final = re.compile(r"^(\w+/\S+)\s+\d+ \([^)]*\)\s+(\d+) \([^)]*\)\s+(\d+) \(")


async def kinds_of_records(watch: Connection, began: str, jobs: int) -> dict[str, int]:
    """Return the bytes per job of each kind of record since a position, page images separately.

    Kinds below one byte per job are left out. The result is empty if the server's files or
    `pg_waldump` cannot be reached from here.
    """
    where = await watch.fetchrow(_WHERE)
    if where is None:
        return {}
    binaries, data, ended = where
    output = await asyncio.to_thread(_dump, binaries, data, began, ended)
    figures: dict[str, int] = {}
    for line in output.splitlines():
        if found := _LINE.match(line):
            kind, records, images = found[1], int(found[2]), int(found[3])
            figures |= _per_job(f"records {kind}", records, jobs)
            figures |= _per_job(f"page images {kind}", images, jobs)
    return dict(sorted(figures.items(), key=lambda figure: -figure[1]))


def _dump(binaries: str, data: str, began: str, ended: str) -> str:
    """Return the output of `pg_waldump`; return "" if it is missing or may not read the files."""
    program, directory = Path(binaries, "pg_waldump"), Path(data, "pg_wal")
    if not program.is_file() or not directory.is_dir():
        return ""
    command = [str(program), "--stats=record", "-p", str(directory), "-s", began, "-e", ended]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if finished.returncode else finished.stdout


def _per_job(name: str, size: int, jobs: int) -> dict[str, int]:
    return {name: round(size / jobs)} if size >= jobs else {}
