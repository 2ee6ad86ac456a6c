"""PgBouncer on loopback, in front of a test's database."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

import anyio
import asyncpg

from tests.support.databases import temporary_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PGBOUNCER", "pooled"]

PGBOUNCER: Final = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
"""Path of the program, or None if it is not installed."""


@contextmanager
def pooled(
    url: str, *, sessions: int = 3, mode: str = "transaction", **options: object
) -> Iterator[str]:
    """Run a PgBouncer with `sessions` server sessions; yield the URL of the database through it."""
    assert PGBOUNCER is not None
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    host = parts.hostname or query["host"][0]
    port = parts.port or query.get("port", ["5432"])[0]
    name = parts.path.lstrip("/")
    password = f" password={parts.password}" if parts.password else ""
    with temporary_directory() as directory, socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        own_port = reserved.getsockname()[1]
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": own_port,
            "unix_socket_dir": "",
            "auth_type": "any",
            "pool_mode": mode,
            "default_pool_size": sessions,
            "max_client_conn": 200,
            "logfile": directory / "log",
            **options,
        }
        lines = [
            "[databases]",
            f"{name} = host={host} port={port} dbname={name} user={parts.username}{password}",
            "[pgbouncer]",
            *(f"{key} = {value}" for key, value in settings.items()),
        ]
        (directory / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        reserved.close()
        process = subprocess.Popen(
            [PGBOUNCER, "-q", str(directory / "pgbouncer.ini")],
            stderr=subprocess.DEVNULL,
            **_account(directory, host),
        )
        pooled_url = f"postgresql://{parts.username}@127.0.0.1:{own_port}/{name}?sslmode=disable"
        try:
            anyio.run(_ready, pooled_url)
            yield pooled_url
        finally:
            process.terminate()
            process.wait(timeout=60)


def _account(directory: Path, host: str) -> dict[str, Any]:
    """Return the process user: PgBouncer refuses root, and must reach the server's socket."""
    if os.geteuid() != 0:
        return {}
    place = Path(host)
    found = place.stat() if place.is_dir() else None
    uid = found.st_uid if found is not None and found.st_uid else pwd.getpwnam("nobody").pw_uid
    gid = pwd.getpwuid(uid).pw_gid
    for path in (directory, *directory.iterdir()):
        os.chown(path, uid, gid)
    return {"user": uid, "group": gid, "extra_groups": []}


async def _ready(url: str) -> None:
    with anyio.fail_after(60):
        while True:
            try:
                connection = await asyncpg.connect(url, timeout=30, statement_cache_size=0)
            except OSError:
                await anyio.sleep(0.02)
            else:
                await connection.close()
                return
