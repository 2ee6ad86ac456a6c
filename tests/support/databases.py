"""PostgreSQL for tests: private servers that a test may kill, and fresh databases on any server."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

import anyio
import asyncpg
import psutil

from delivery.embedded.files import initialise, make_socket_directory, prepare
from delivery.settings.embedded_url import socket_url
from delivery.store.migrate import migrate
from delivery.store.partitions import ensure_partitions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

__all__ = ["DatabaseServer", "PrivateServer", "role_with_rows_only", "temporary_directory"]

_QUICK = {"fsync": "off", "full_page_writes": "off", "max_connections": "300"}
"""Settings without flushes to disk: only processes crash in tests, not the machine."""

_IN_MEMORY: Final = Path("/dev/shm")
_ENOUGH: Final = 4 * 2**30
"""Bytes of free memory. The write-ahead log alone grows to one gigabyte."""


def _has_room(directory: Path) -> bool:
    try:
        return os.access(directory, os.W_OK) and shutil.disk_usage(directory).free >= _ENOUGH
    except OSError:
        return False


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Create a directory with a short path that PostgreSQL's own system user can traverse.

    Only the owner can traverse pytest's `tmp_path`. The directory is in memory if there is room for
    it: a run creates and drops a thousand databases, which takes ten times as long on some file
    systems.
    """
    place = _IN_MEMORY if _has_room(_IN_MEMORY) else None
    directory = Path(tempfile.mkdtemp(prefix="delivery-", dir=place))
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


class PrivateServer:
    """A private PostgreSQL server from the binaries of the wheel, which a test may kill.

    A context manager. It blocks, because a start takes a tenth of a second. `options` are server
    settings.
    """

    def __init__(
        self, directory: Path, *, primary: PrivateServer | None = None, **options: str
    ) -> None:
        self._options = {**_QUICK, **options}
        self.directory = directory / ("server" if primary is None else "standby")
        self._cluster = prepare(self.directory)
        if primary is None:
            initialise(self._cluster, self.directory)
        else:
            self._copy(primary)
        self._sockets = make_socket_directory(self._cluster, self.directory)
        self.url = socket_url(self._sockets)
        """The same URL after every restart."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, with recovery after a kill, and wait until it is ready."""
        self._cluster.start(self._sockets, self._options, timeout=60.0)

    def stop(self) -> None:
        """Stop the server cleanly; do nothing if it does not run."""
        self._cluster.stop()

    def standby(self) -> PrivateServer:
        """Return a hot standby of this server, in a second directory; start it like any other."""
        return PrivateServer(self.directory.parent, primary=self)

    def promote(self) -> None:
        """Make this standby a primary."""
        printed = self._cluster._run(
            "pg_ctl", "promote", "--wait", "--silent", "--pgdata", str(self._cluster.data)
        )
        assert printed is None, printed

    def _copy(self, primary: PrivateServer) -> None:
        data, account = self._cluster.data, self._cluster.account
        data.mkdir(mode=0o700)
        if account is not None:
            os.chown(data, account.uid, account.gid)
        printed = self._cluster._run(
            "pg_basebackup",
            *("--host", str(primary._sockets), "--port", "5432", "--username", "postgres"),
            *("--pgdata", str(data), "--checkpoint", "fast", "--write-recovery-conf"),
        )
        assert printed is None, printed

    def require_passwords(self, role: str) -> None:
        """Require a password of `role` after the next restart."""
        self.stop()
        rules = self._cluster.data / "pg_hba.conf"
        rules.write_text(f"local all {role} scram-sha-256\n{rules.read_text()}")
        self.start()

    def kill(self) -> None:
        """Kill the server and its children with SIGKILL, and wait for their end."""
        running = self._cluster.postmaster()
        assert running is not None, "the server does not run"
        with suppress(psutil.NoSuchProcess):
            postmaster = psutil.Process(running.pid)
            family = [postmaster, *postmaster.children(recursive=True)]
            for process in family:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
            psutil.wait_procs(family, timeout=60)


class DatabaseServer:
    """Fresh databases on a server; migrated ones are copies of a template."""

    def __init__(self, url: str) -> None:
        self.url = url
        """URL of the maintenance database; its role may create databases."""
        self._prefix = f"delivery_test_{os.getpid()}_{secrets.token_hex(3)}"
        self._template: str | None = None
        self._made = 0

    @contextmanager
    def database(self, *, migrated: bool = True, encoding: str = "UTF8") -> Iterator[str]:
        """Create a database, yield its URL, and drop it at the end of the block."""
        template = self._migrated_template() if migrated else "template0"
        name = self._create(template, encoding)
        try:
            yield self.url_of(name)
        finally:
            self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def close(self) -> None:
        """Drop the template."""
        if self._template is not None:
            self._execute(f'DROP DATABASE "{self._template}" WITH (FORCE)')

    def url_of(self, name: str) -> str:
        """Return the URL of the database `name` on this server."""
        # urlunsplit would drop the slashes before the empty host of a socket URL.
        parts = urlsplit(self.url)
        query = f"?{parts.query}" if parts.query else ""
        return f"{parts.scheme}://{parts.netloc}/{name}{query}"

    def _migrated_template(self) -> str:
        if self._template is None:
            name = self._create("template0")

            async def run() -> None:
                connection = await asyncpg.connect(self.url_of(name))
                try:
                    await migrate(connection)
                    # Created once in the template, so that the engine of a test finds them.
                    await ensure_partitions(connection, 1)
                finally:
                    await connection.close()

            anyio.run(run)
            self._template = name
        return self._template

    def _create(self, template: str, encoding: str = "UTF8") -> str:
        self._made += 1
        name = f"{self._prefix}_{self._made}"
        # The default strategy takes twice as long.
        other = "" if encoding == "UTF8" else f" ENCODING '{encoding}' LOCALE 'C'"
        self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy{other}')
        return name

    def _execute(self, text: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self.url)
            try:
                await connection.execute(text)
            finally:
                await connection.close()

        anyio.run(run)


@contextmanager
def role_with_rows_only(url: str) -> Iterator[str]:
    """Create a role with rights on rows only; yield the URL of the migrated database for it."""
    role = f"rows_{secrets.token_hex(4)}"
    _run(
        url,
        f"CREATE ROLE {role} LOGIN PASSWORD '{role}'",
        f"GRANT USAGE ON SCHEMA delivery TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA delivery TO {role}",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA delivery TO {role}",
        f"REVOKE EXECUTE ON FUNCTION delivery.ensure_partitions(integer) FROM {role}",
    )
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = f"?{parts.query}" if parts.query else ""
    try:
        yield f"{parts.scheme}://{role}:{role}@{host}{parts.path}{query}"
    finally:
        _run(url, f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


def _run(url: str, *statements: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    anyio.run(run)
