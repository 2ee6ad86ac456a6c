"""A PostgreSQL cluster run from a wheel's binaries: its data directory and its server.

All functions block. `delivery.embedded.server` lets several processes share the cluster.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from delivery.errors import EmbeddedDatabaseError
from delivery.settings.embedded_url import PORT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["MAJOR_VERSION", "Account", "Cluster", "Postmaster"]

MAJOR_VERSION: Final = 18
_ENVIRONMENT: Final = {"LC_ALL": "C", "TZ": "UTC", "PATH": os.defpath}
"""English messages, and no locale or PG… variables of the parent process."""
_ORPHANS_TIMEOUT: Final = 30.0
"""Seconds for the children of a killed server to end."""


@dataclass(frozen=True, slots=True)
class Account:
    """System user for the server if this process runs as root, which PostgreSQL refuses."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Postmaster:
    """Running server, as described by its `postmaster.pid`."""

    pid: int
    socket_directory: str
    status: str
    """`starting`, `ready`, `stopping`, …; empty before the server has written it."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Data directory, with the binaries and the system user of its server."""

    data: Path
    binaries: Path
    account: Account | None
    """None: the server runs as the user of this process."""

    @property
    def log(self) -> Path:
        """Log file of the server."""
        return self.data / "server.log"

    def initialise(self) -> None:
        """Run initdb on `data`, an empty directory that belongs to the account.

        Raises:
            EmbeddedDatabaseError: `initdb` failed.
        """
        options = (
            *("--pgdata", str(self.data), "--username", "postgres", "--auth", "trust"),
            # Text sorts by code point in any locale of the machine, so that pages are stable.
            *("--encoding", "UTF8", "--no-locale"),
            *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
        )
        result = self._run("initdb", *options)
        if result is not None:
            message = f"cannot create a database in {self.data}: {_error_in(result)}"
            raise EmbeddedDatabaseError(message)

    def start(self, socket_directory: Path, options: Mapping[str, str], timeout: float) -> None:
        """Start the server and wait until it is ready, including recovery.

        Args:
            socket_directory: Directory of its socket, with a short path.
            options: Further configuration parameters.
            timeout: Seconds for the start, including recovery.

        Raises:
            EmbeddedDatabaseError: The server stopped, or is not ready in time.
        """
        self._clear_traces(socket_directory)
        size = self.log.stat().st_size if self.log.exists() else 0
        settings = {
            # PostgreSQL 18 has page checksums, and so logs a whole page when even a read first sets
            # a hint bit on it. Compression reduces these pages to an eighth.
            "wal_compression": "pglz",
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": str(socket_directory),
            "unix_socket_permissions": "0700",
            **options,
        }
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        result = self._run(
            "pg_ctl",
            *("start", "--wait", f"--timeout={timeout:.0f}", "--silent"),
            *("--pgdata", str(self.data), "--log", str(self.log)),
            *("--options", shlex.join(words)),
        )
        if result is not None:
            printed = self._printed_since(size) or result
            message = f"PostgreSQL does not start on {self.data}: {_error_in(printed)}"
            raise EmbeddedDatabaseError(message)

    def stop(self) -> None:
        """Stop the server if it runs: in an orderly way, or by force after a timeout."""
        running = self.postmaster()
        if running is None:
            return
        for mode, timeout in (("fast", 60), ("immediate", 10)):
            options = ("--wait", f"--timeout={timeout}", "--mode", mode, "--silent")
            if self._run("pg_ctl", "stop", *options, "--pgdata", str(self.data)) is None:
                return
        if self.postmaster() == running:
            os.kill(running.pid, signal.SIGKILL)

    def postmaster(self) -> Postmaster | None:
        """Return the server that runs on this data directory, if any.

        The recorded process number is not enough: after a crash it can belong to any other program,
        in a container even to this one.
        """
        recorded = self._recorded()
        if recorded is None or not self._serves_us(recorded.pid):
            return None
        return recorded

    def _recorded(self) -> Postmaster | None:
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            pid = int(lines[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None
        lines += [""] * (8 - len(lines))
        # A server in single-user mode records its number as negative.
        return Postmaster(pid=abs(pid), socket_directory=lines[4], status=lines[7].strip())

    def _serves_us(self, pid: int) -> bool:
        """Return True for a PostgreSQL process with this working directory."""
        import psutil  # noqa: PLC0415 - comes with the extra `embedded`

        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE or "postgres" not in process.name():
                return False
            if process.uids().real != self.data.stat().st_uid:
                return False
            return self.data.samefile(process.cwd())
        except (psutil.NoSuchProcess, FileNotFoundError):
            return False
        except (psutil.AccessDenied, PermissionError):
            # If processes of the same user are invisible, assume that it runs.
            return True

    def _clear_traces(self, socket_directory: Path) -> None:
        """Remove the files of a killed server that would prevent PostgreSQL from starting.

        PostgreSQL refuses to start while any process with the recorded number exists, and while a
        child of the killed server still holds its memory.
        """
        import psutil  # noqa: PLC0415 - comes with the extra `embedded`

        recorded = self._recorded()
        if recorded is None:
            return
        deadline = time.monotonic() + _ORPHANS_TIMEOUT
        while any(self._serves_us(pid) for pid in psutil.pids()):
            if time.monotonic() > deadline:
                message = f"processes of a killed PostgreSQL still use {self.data}; end them"
                raise EmbeddedDatabaseError(message)
            time.sleep(0.05)
        if psutil.pid_exists(recorded.pid):
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
                (socket_directory / name).unlink(missing_ok=True)

    def _printed_since(self, size: int) -> str:
        try:
            with self.log.open("rb") as log:
                log.seek(size)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def _run(self, program: str, *arguments: str) -> str | None:
        """Run one of the binaries; return None on success, otherwise its output."""
        as_account: dict[str, Any] = {}
        if self.account is not None:
            as_account = {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        # A file, not a pipe: the server would inherit a pipe, and reading would never end.
        with tempfile.TemporaryFile() as output:
            try:
                result = subprocess.run(  # noqa: S603 - our own binary, no shell
                    [str(self.binaries / program), *arguments],
                    check=False,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=_ENVIRONMENT,
                    cwd=self.data,
                    **as_account,
                )
            except OSError as error:
                message = f"cannot run {self.binaries / program}: {error.strerror}"
                raise EmbeddedDatabaseError(message) from error
            output.seek(0)
            printed = output.read().decode(errors="replace")
        return None if result.returncode == 0 else printed or f"exit code {result.returncode}"


_ADVICE: Final[Sequence[tuple[str, str]]] = (
    ("No space left on device", "free some space on that disk"),
    ("Disk quota exceeded", "free some of your quota on that disk"),
    ("Read-only file system", "choose a writable database.embedded_directory"),
    ("Permission denied", "give its owner access, or choose another directory"),
    ("incompatible with server", "choose a new database.embedded_directory, or dump and restore"),
    ("could not map anonymous shared memory", "free some memory"),
    ("could not create shared memory", "raise the machine's shared memory limits"),
)

_SIGNS: Final = ("FATAL", "PANIC", "DETAIL", "HINT", "error:", "detail:")


def _error_in(output: str) -> str:
    """Return the last error in `output`, with the remedy if known."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = max(
        (place for place, line in enumerate(lines) if any(sign in line for sign in _SIGNS)),
        default=len(lines) - 1,
    )
    text = " ".join(lines[max(0, last - 2) : last + 1])
    return "; ".join([text, *(advice for sign, advice in _ADVICE if sign in output)])
