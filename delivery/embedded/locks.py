"""The two lock files of an embedded database: `gate` and `users`."""

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
_TOLD_AFTER: Final = 5.0
"""Seconds of waiting for the gate after which a warning is logged."""


def open_lock(path: Path) -> int:
    """Return a descriptor to lock. Nobody else can open the file, and so nobody else can lock it.

    As root the file is made for the owner of the directory, who may then use it as well.

    Raises:
        EmbeddedDatabaseError: The file cannot be made or opened, or is another user's.
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
        # Earlier versions let everybody read it, which is enough to lock it.
        os.fchmod(descriptor, 0o600)


@contextmanager
def held(path: Path, timeout: float) -> Iterator[None]:
    """Hold an exclusive lock on `path`, which then names this process.

    Another process that holds it may be recovering the database, which can take its time. One that
    has not written its number there does not start or stop the server, and is not waited for as
    long.

    Raises:
        EmbeddedDatabaseError: The lock could not be had within `timeout` seconds.
    """
    descriptor = open_lock(path)
    try:
        began = time.monotonic()
        has_told = False
        while not _locked(descriptor, fcntl.LOCK_EX):
            waited = time.monotonic() - began
            holder = _holder(descriptor)
            if waited > (_UNKNOWN_TIMEOUT if holder is None else timeout):
                message = f"{path} has been locked for {waited:.0f} s {_held_by(holder, path)}"
                raise EmbeddedDatabaseError(message)
            if waited > _TOLD_AFTER and not has_told:
                has_told = True
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
    """Return the number of the process that holds the gate, if it has written it there."""
    written = os.pread(descriptor, 20, 0).strip()
    if not written.isdigit():
        return None
    try:
        os.kill(int(written), 0)
    except ProcessLookupError:
        # It was killed. The lock is another's, or a child's that it left.
        return None
    except PermissionError:
        pass
    return int(written)


def _held_by(holder: int | None, path: Path) -> str:
    if holder is None:
        return f"by a process that does not say who it is; `fuser {path}` names it: end it"
    return f"by process {holder}, which starts or stops the embedded PostgreSQL"


def shared(path: Path) -> int:
    """Take a share of `path`; nobody has it for itself while we hold the gate."""
    descriptor = open_lock(path)
    if not _locked(descriptor, fcntl.LOCK_SH):
        os.close(descriptor)
        message = f"{path} is locked by another program, which `fuser {path}` names; end it"
        raise EmbeddedDatabaseError(message)
    return descriptor


def is_alone(descriptor: int) -> bool:
    """Whether nobody else has a share."""
    return _locked(descriptor, fcntl.LOCK_EX)


def _locked(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
