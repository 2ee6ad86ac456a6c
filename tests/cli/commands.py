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
        """Run a command, which must succeed, and return its text."""
        ended = await self.run(*arguments)
        assert ended.code == 0, ended.err
        return ended.out

    async def json(self, *arguments: str, stdin: bytes = b"") -> Any:
        """Run a command, and return the JSON object it prints."""
        return (await self.run(*arguments, "--json", stdin=stdin)).object

    async def run(self, *arguments: str, stdin: bytes = b"") -> Finished:
        """Run a command."""
        return await call(*arguments, *self._options, stdin=stdin)

    async def reaction(self, url: str, *options: str) -> Any:
        """Create a reaction that matches every event."""
        return await self.json(
            *("reactions", "create", "--name", "r", "--url", url, "--retry", _QUICK), *options
        )
