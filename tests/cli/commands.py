"""Commands on a test's database."""

from __future__ import annotations

from typing import Any, Final

from tests.cli.running import LOOPBACK, Finished, call

__all__ = ["Commands"]

_QUICK: Final = '{"max_attempts": 2, "schedule": [0.05], "jitter": 0}'


class Commands:
    """Commands on one database."""

    def __init__(self, database_url: str) -> None:
        self._options = ("--database-url", database_url, *LOOPBACK)

    async def text(self, *arguments: str) -> str:
        """What a command prints for people; it must succeed."""
        ended = await self.run(*arguments)
        assert ended.code == 0, ended.err
        return ended.out

    async def json(self, *arguments: str, stdin: bytes = b"") -> Any:
        """The object a command prints."""
        return (await self.run(*arguments, "--json", stdin=stdin)).object

    async def run(self, *arguments: str, stdin: bytes = b"") -> Finished:
        """Any command."""
        return await call(*arguments, *self._options, stdin=stdin)

    async def reaction(self, url: str, *options: str) -> Any:
        """A new reaction to everything."""
        return await self.json(
            *("reactions", "create", "--name", "r", "--url", url, "--retry", _QUICK), *options
        )
