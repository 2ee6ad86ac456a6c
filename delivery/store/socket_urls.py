"""URLs of embedded servers, which listen on a socket of the file system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote, urlsplit

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PORT", "is_embedded", "socket_url"]

PORT: Final = 5432
"""Part of the socket's file name; nothing listens on TCP."""


def socket_url(socket_directory: str | Path) -> str:
    """Return the URL of an embedded server, for asyncpg, SQLAlchemy and libpq alike."""
    return f"postgresql://postgres@/postgres?host={quote(str(socket_directory))}&port={PORT}"


def is_embedded(url: str) -> bool:
    """Return whether a URL is one that `socket_url` has made."""
    hosts = parse_qs(urlsplit(url).query).get("host", ())
    return len(hosts) == 1 and url == socket_url(hosts[0])
