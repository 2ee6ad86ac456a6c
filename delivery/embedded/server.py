"""The embedded PostgreSQL: started when no database is configured, shared, stopped by the last.

The directory holds `data` (PostgreSQL's own), `run` (its socket, for the owner alone),
`secrets.key` (what secrets are encrypted with) and two lock files that no other user can open. A
process that starts or stops the server holds `gate`; one that uses it holds a shared lock on
`users`, which the kernel drops with the process however that ends. The one that can have `users`
for itself when it leaves is the last, and stops the server. A server left behind by a killed
process is taken over by the next.
"""

from __future__ import annotations

import atexit
import os
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
from anyio import to_thread

from delivery.embedded.files import (
    default_directory,
    encryption_key,
    initialise,
    make_socket_directory,
    prepare,
)
from delivery.embedded.locks import held, is_alone, shared
from delivery.errors import DatabaseUnavailable, EmbeddedDatabaseError
from delivery.settings.embedded_url import socket_url
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    from delivery.embedded.cluster import Cluster

__all__ = ["EmbeddedDatabase", "default_directory", "start_embedded"]

_START_TIMEOUT: Final = 600.0
"""Seconds that recovery after a crash may take."""
_ANSWER_TIMEOUT: Final = 60.0
"""Seconds for a server that runs to let us in."""
_LOG_LIMIT: Final = 10 * 1024 * 1024
"""Bytes of server log above which a start begins a new one."""
_OPTIONS: Final = {"max_connections": "200", "log_min_messages": "warning"}


async def start_embedded(directory: Path | None = None) -> EmbeddedDatabase:
    """Start the embedded PostgreSQL, or join it if it runs; close what is returned.

    Args:
        directory: Where its data is kept, made if need be; None: `default_directory()`.

    Raises:
        EmbeddedDatabaseError: It cannot be used; the text says why and what to do.
    """
    database = EmbeddedDatabase(directory or default_directory())
    try:
        await database.ensure_running()
    except BaseException:
        with anyio.CancelScope(shield=True):
            await database.close()
        raise
    return database


class EmbeddedDatabase:
    """One process's share in the embedded PostgreSQL of a directory."""

    def __init__(self, directory: Path) -> None:
        """Name the directory; `open` does the work."""
        self.directory = directory.expanduser().resolve()
        self.url = ""
        """For asyncpg and libpq alike; valid once opened."""
        self.encryption_key = ""
        """What secrets in it are encrypted with; valid once opened."""
        self._users: int | None = None
        self._cluster: Cluster | None = None
        self._process = os.getpid()
        self._mutex = threading.Lock()

    def open(self) -> None:
        """Start or join the server, blocking. Called again, it restarts a server that died.

        Raises:
            EmbeddedDatabaseError: As `start_embedded`.
        """
        with self._mutex:
            cluster = prepare(self.directory)
            with held(self.directory / "gate", _START_TIMEOUT + _ANSWER_TIMEOUT):
                if self._users is None:
                    self._users = shared(self.directory / "users")
                    # For programs that end without closing, as an unhandled error makes them.
                    atexit.register(self._close)
                self._cluster = cluster
                is_new = not cluster.data.exists()
                socket_directory = _ensure_running(cluster, self.directory)
                self.encryption_key = encryption_key(self.directory, is_new=is_new)
            self.url = socket_url(socket_directory)

    async def ensure_running(self) -> None:
        """Start the server, also again should it have died, and wait until it lets us in.

        Raises:
            EmbeddedDatabaseError: As `start_embedded`.
        """
        deadline = time.monotonic() + _ANSWER_TIMEOUT
        while True:
            # Each time, as what looked like a running server may have been a dying one.
            await to_thread.run_sync(self.open)
            try:
                connection = await connect(self.url, timeout=_ANSWER_TIMEOUT)
            except DatabaseUnavailable as error:
                if time.monotonic() > deadline:
                    message = f"the embedded PostgreSQL in {self.directory} lets nobody in: {error}"
                    raise EmbeddedDatabaseError(message) from error
                await anyio.sleep(0.1)
            else:
                await connection.close()
                return

    async def close(self) -> None:
        """Give the share back; the last one out stops the server. Harmless to repeat."""
        await to_thread.run_sync(self._close)

    def _close(self) -> None:
        # A forked child shares our lock, and must neither drop it nor stop the server.
        if self._process != os.getpid():
            return
        with self._mutex:
            users, cluster = self._users, self._cluster
            if users is None:
                return
            self._users = None
            atexit.unregister(self._close)
            try:
                with held(self.directory / "gate", _START_TIMEOUT + _ANSWER_TIMEOUT):
                    if cluster is not None and is_alone(users):
                        _stop(cluster, self.directory)
            finally:
                os.close(users)


def _ensure_running(cluster: Cluster, directory: Path) -> str:
    """Start the server if none runs; where its socket is. The caller holds the gate."""
    running = cluster.postmaster()
    if running is None:
        initialise(cluster, directory)
        if cluster.log.exists() and cluster.log.stat().st_size > _LOG_LIMIT:
            cluster.log.replace(cluster.log.with_suffix(".log.old"))
        socket_directory = make_socket_directory(cluster, directory)
        cluster.start(socket_directory, _OPTIONS, _START_TIMEOUT)
        running = cluster.postmaster()
        if running is None:
            message = f"PostgreSQL started on {cluster.data} and stopped at once; see {cluster.log}"
            raise EmbeddedDatabaseError(message)
    return running.socket_directory


def _stop(cluster: Cluster, directory: Path) -> None:
    running = cluster.postmaster()
    cluster.stop()
    if running is not None and not Path(running.socket_directory).is_relative_to(directory):
        shutil.rmtree(running.socket_directory, ignore_errors=True)
