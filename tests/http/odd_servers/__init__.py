"""Table of odd servers by theme, with the expected results of our transport and of httpx."""

from __future__ import annotations

from typing import Final

from tests.http.odd_servers import bodies, chunks, connections, headers, lengths, status_lines

__all__ = ["ODD_SERVERS"]

ODD_SERVERS: Final = {
    f"{theme.__name__.rpartition('.')[2]}: {odd.name}": odd
    for theme in (status_lines, headers, lengths, chunks, bodies, connections)
    for odd in theme.SERVERS
}
