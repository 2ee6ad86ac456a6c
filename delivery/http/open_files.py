"""Budget of open files: shares for calls and for the rest of the process."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["FileShares", "current_shares", "share_files"]

_UNLIMITED: Final = 1_000_000
_MAX_LOOKUPS: Final = 532
"""Maximum number of concurrent name resolutions. Each uses a thread."""
_MARGIN: Final = 8
"""Files left for logs, a new database connection and other short uses."""
_FILES_PER_LOOKUP: Final = 2
_ASSUMED_OPEN: Final = 24
"""Assumed number of open files if the system does not report it."""


@dataclass(frozen=True, slots=True)
class FileShares:
    """Number of files that calls may use."""

    limit: int | None
    """Maximum number of files of the process. None for no limit."""
    sockets: int
    """Maximum number of connections to endpoints, including idle ones."""
    lookups: int
    """Maximum number of concurrent name resolutions."""


def share_files(limit: int | None, *, open_now: int, reserved: int) -> FileShares:
    """Compute the shares of calls in `limit` files.

    Args:
        limit: Maximum number of files of the process. None for no limit.
        open_now: Number of files that are open for other purposes.
        reserved: Number of files that the rest of the process will open, such as database
            connections.
    """
    if limit is None:
        return FileShares(None, _UNLIMITED, _MAX_LOOKUPS)
    spare = limit - open_now - reserved - _MARGIN
    lookups = min(max(spare // (4 * _FILES_PER_LOOKUP), 1), _MAX_LOOKUPS)
    return FileShares(limit, max(spare - lookups * _FILES_PER_LOOKUP, 1), lookups)


def current_shares(reserved: int, own: int = 0) -> FileShares:
    """Compute the present shares of calls in this process.

    Args:
        reserved: See `share_files`.
        own: Number of files that are open for calls.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = None if soft == resource.RLIM_INFINITY else soft
    try:
        open_now = sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        open_now = _ASSUMED_OPEN
    return share_files(limit, open_now=max(open_now - own, 0), reserved=reserved)
