"""The embedded PostgreSQL: started when no database is configured, and shared by processes.

The directory contains `data` (the data directory of PostgreSQL), `run` (its socket, for the owner
alone), `secrets.key` (the encryption key) and two lock files that no other user can open. A process
that starts or stops the server holds `gate`. A process that uses the server holds a shared lock on
`users`, which the kernel releases when the process ends in any way. The last process can take
`users` exclusively, and stops the server. If the last process is killed, the server continues
and the next process uses it.
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
"""Seconds for recovery after a crash."""
_CONNECT_TIMEOUT: Final = 60.0
"""Seconds until a running server must accept a connection."""
_LOG_LIMIT: Final = 10 * 1024 * 1024
"""Size of the server log, in bytes, above which a start begins a new file."""
_OPTIONS: Final = {"max_connections": "200", "log_min_messages": "warning"}


async def start_embedded(directory: Path | None = None) -> EmbeddedDatabase:
    """Start the embedded PostgreSQL, or join it if it runs; the caller closes the result.

    Args:
        directory: Directory of its data, created if missing; None: `default_directory()`.

    Raises:
        EmbeddedDatabaseError: It cannot be used; the message names reason and remedy.
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
    """Use of the embedded PostgreSQL of a directory by this process."""

    def __init__(self, directory: Path) -> None:
        """Set the directory; `open` starts or joins the server."""
        self.directory = directory.expanduser().resolve()
        self.url = ""
        """URL for asyncpg and libpq; valid once opened."""
        self.encryption_key = ""
        """Encryption key of its secrets; valid once opened."""
        self._users: int | None = None
        self._cluster: Cluster | None = None
        self._process = os.getpid()
        self._mutex = threading.Lock()

    def open(self) -> None:
        """Start or join the server, blocking. Called again, it restarts a server that died.

        Raises:
            EmbeddedDatabaseError: As for `start_embedded`.
        """
        with self._mutex:
            cluster = prepare(self.directory)
            with held(self.directory / "gate", _START_TIMEOUT + _CONNECT_TIMEOUT):
                if self._users is None:
                    self._users = shared(self.directory / "users")
                    # For programs that end without closing, for instance with an unhandled error.
                    atexit.register(self._close)
                self._cluster = cluster
                is_new = not cluster.data.exists()
                socket_directory = _ensure_running(cluster, self.directory)
                self.encryption_key = encryption_key(self.directory, is_new=is_new)
            self.url = socket_url(socket_directory)

    async def ensure_running(self) -> None:
        """Start the server, also after it has died, and wait until it accepts a connection.

        Raises:
            EmbeddedDatabaseError: As for `start_embedded`.
        """
        deadline = time.monotonic() + _CONNECT_TIMEOUT
        while True:
            # Each time, because the running server may have been about to stop.
            await to_thread.run_sync(self.open)
            try:
                connection = await connect(self.url, timeout=_CONNECT_TIMEOUT)
            except DatabaseUnavailable as error:
                if time.monotonic() > deadline:
                    message = (
                        f"the embedded PostgreSQL in {self.directory} accepts no connection:"
                        f" {error}"
                    )
                    raise EmbeddedDatabaseError(message) from error
                await anyio.sleep(0.1)
            else:
                await connection.close()
                return

    async def close(self) -> None:
        """Leave the server; the last process stops it. Repeated calls have no effect."""
        await to_thread.run_sync(self._close)

    def _close(self) -> None:
        # A forked child shares the lock, and must neither release it nor stop the server.
        if self._process != os.getpid():
            return
        with self._mutex:
            users, cluster = self._users, self._cluster
            if users is None:
                return
            self._users = None
            atexit.unregister(self._close)
            try:
                with held(self.directory / "gate", _START_TIMEOUT + _CONNECT_TIMEOUT):
                    if cluster is not None and is_alone(users):
                        _stop(cluster, self.directory)
            finally:
                os.close(users)


def _ensure_running(cluster: Cluster, directory: Path) -> str:
    """Start the server if none runs; return its socket directory. The caller holds the gate."""
    running = cluster.postmaster()
    if running is None:
        initialise(cluster, directory)
        if cluster.log.exists() and cluster.log.stat().st_size > _LOG_LIMIT:
            cluster.log.replace(cluster.log.with_suffix(".log.old"))
        socket_directory = make_socket_directory(cluster, directory)
        cluster.start(socket_directory, _OPTIONS, _START_TIMEOUT)
        running = cluster.postmaster()
        if running is None:
            message = (
                f"PostgreSQL started on {cluster.data} and stopped immediately; see {cluster.log}"
            )
            raise EmbeddedDatabaseError(message)
    return running.socket_directory


def _stop(cluster: Cluster, directory: Path) -> None:
    running = cluster.postmaster()
    cluster.stop()
    if running is not None and not Path(running.socket_directory).is_relative_to(directory):
        shutil.rmtree(running.socket_directory, ignore_errors=True)
