"""How the files that a process may open are shared between calls and everything else."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["FileShares", "current_shares", "share_files"]

_UNLIMITED: Final = 1_000_000
_MOST_LOOKUPS: Final = 532
"""Name resolutions at once; each is a thread."""
_MARGIN: Final = 8
"""Files for logs, a new database connection, and whatever else opens one for a moment."""
_FILES_OF_A_LOOKUP: Final = 2
_ASSUMED: Final = 24
"""Files that are open where the system does not say how many are."""


@dataclass(frozen=True, slots=True)
class FileShares:
    """What calls may use."""

    limit: int | None
    """Files that the process may open; None: any number."""
    sockets: int
    """Connections to endpoints, free ones included."""
    lookups: int
    """Name resolutions at once."""


def share_files(limit: int | None, *, open_now: int, reserved: int) -> FileShares:
    """Return what calls may use of `limit` files.

    Args:
        limit: Files that the process may open; None: any number.
        open_now: How many are open already, for something else.
        reserved: How many more the rest of the process will open, such as database connections.
    """
    if limit is None:
        return FileShares(None, _UNLIMITED, _MOST_LOOKUPS)
    spare = limit - open_now - reserved - _MARGIN
    lookups = min(max(spare // (4 * _FILES_OF_A_LOOKUP), 1), _MOST_LOOKUPS)
    return FileShares(limit, max(spare - lookups * _FILES_OF_A_LOOKUP, 1), lookups)


def current_shares(reserved: int, own: int = 0) -> FileShares:
    """Return what calls of this process may use now.

    Args:
        reserved: See `share_files`.
        own: Files that are open for calls already.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = None if soft == resource.RLIM_INFINITY else soft
    try:
        open_now = sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        open_now = _ASSUMED
    return share_files(limit, open_now=max(open_now - own, 0), reserved=reserved)
