"""Lock files of an embedded database: `gate` and `users`."""

from __future__ import annotations

import fcntl
import logging
import os
import stat
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from delivery.errors import EmbeddedDatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["held", "is_alone", "open_lock", "shared"]

logger = logging.getLogger(__name__)

_UNKNOWN_TIMEOUT: Final = 30.0
"""Seconds to wait for the gate while its holder is unknown."""
_WARN_AFTER: Final = 5.0
"""Seconds of waiting for the gate after which a warning is logged."""


def open_lock(path: Path) -> int:
    """Return a descriptor to lock. No other user can open the file and so lock it.

    As root the file is created for the owner of the directory.

    Raises:
        EmbeddedDatabaseError: The file cannot be created or opened, or is another user's.
    """
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
    except PermissionError as error:
        message = (
            f"{path} belongs to another user; run delivery once as root, which gives the file to"
            " the owner of the directory, or remove it while nothing uses the database"
        )
        raise EmbeddedDatabaseError(message) from error
    except OSError as error:
        message = (
            f"{path}: cannot be opened: {error.strerror}; choose another"
            " database.embedded_directory, or set database.url"
        )
        raise EmbeddedDatabaseError(message) from error
    try:
        _make_lock_private(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _make_lock_private(descriptor: int, path: Path) -> None:
    found, us = os.fstat(descriptor), os.geteuid()
    directory = path.parent.stat()
    if not stat.S_ISREG(found.st_mode) or found.st_uid not in {0, us, directory.st_uid}:
        message = f"{path} is not a file of user {us}; remove it while nothing uses the database"
        raise EmbeddedDatabaseError(message)
    if us == 0 and found.st_uid != directory.st_uid:
        os.fchown(descriptor, directory.st_uid, directory.st_gid)
    if found.st_mode & 0o077 and us in {0, found.st_uid}:
        # Earlier versions let all users read the file, which is enough to lock it.
        os.fchmod(descriptor, 0o600)


@contextmanager
def held(path: Path, timeout: float) -> Iterator[None]:
    """Hold an exclusive lock on `path`, and write the number of this process into it.

    A process that holds the lock may be recovering the database, which can take long. A process
    that has not written its number neither starts nor stops the server, so its timeout is shorter.

    Raises:
        EmbeddedDatabaseError: The lock was not released within `timeout` seconds.
    """
    descriptor = open_lock(path)
    try:
        began = time.monotonic()
        has_warned = False
        while not _locked(descriptor, fcntl.LOCK_EX):
            waited = time.monotonic() - began
            holder = _holder(descriptor)
            if waited > (_UNKNOWN_TIMEOUT if holder is None else timeout):
                message = f"{path} has been locked for {waited:.0f} s {_held_by(holder, path)}"
                raise EmbeddedDatabaseError(message)
            if waited > _WARN_AFTER and not has_warned:
                has_warned = True
                logger.warning("waiting for %s, which is locked %s", path, _held_by(holder, path))
            time.sleep(0.02)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        try:
            yield
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def _holder(descriptor: int) -> int | None:
    """Return the number of the process that holds the gate, if the file has it."""
    written = os.pread(descriptor, 20, 0).strip()
    if not written.isdigit():
        return None
    try:
        os.kill(int(written), 0)
    except ProcessLookupError:
        # The process was killed. Another process or one of its children holds the lock.
        return None
    except PermissionError:
        pass
    return int(written)


def _held_by(holder: int | None, path: Path) -> str:
    if holder is None:
        return f"by an unknown process; find it with `fuser {path}` and end it"
    return f"by process {holder}, which starts or stops the embedded PostgreSQL"


def shared(path: Path) -> int:
    """Take a shared lock on `path`; the caller holds the gate, so no exclusive lock exists."""
    descriptor = open_lock(path)
    if not _locked(descriptor, fcntl.LOCK_SH):
        os.close(descriptor)
        message = f"{path} is locked by another program; find it with `fuser {path}` and end it"
        raise EmbeddedDatabaseError(message)
    return descriptor


def is_alone(descriptor: int) -> bool:
    """Return True if no other process has a shared lock."""
    return _locked(descriptor, fcntl.LOCK_EX)


def _locked(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
