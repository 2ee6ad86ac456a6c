"""The demo's interface to the receiver process: start it, read its counts, stop it."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from delivery.errors import DeliveryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

__all__ = ["ReceiverProcess", "Seen", "receiving"]

_LONGEST_LINE: Final = 1 << 30
_TIMEOUT: Final = 30.0


@dataclass(frozen=True, slots=True)
class Seen:
    """The requests that the receiver counted."""

    requests: Counter[tuple[str, str, int]]
    """By path, `webhook-id` and response status."""
    verified: int
    """Requests whose signature `standardwebhooks` accepted."""
    refused: int
    refusals: tuple[str, ...]
    """Errors of some refused requests."""


class ReceiverProcess:
    """A running receiver; `receiving` creates one."""

    def __init__(self, process: Process, url: str) -> None:
        self._process = process
        self.url = url
        """URL without a path."""

    async def progress(self) -> Mapping[str, int]:
        """Return the number of requests so far by path."""
        counts: dict[str, int] = (await _ask(self._process, b"brief"))["by_path"]
        return counts

    async def seen(self) -> Seen:
        """Return all counts so far."""
        counts = await _ask(self._process, b"full")
        requests = {
            (path, message, status): number for path, message, status, number in counts["requests"]
        }
        return Seen(
            requests=Counter(requests),
            verified=counts["verified"],
            refused=counts["refused_count"],
            refusals=tuple(counts["refused"]),
        )


@asynccontextmanager
async def receiving(secrets: Mapping[str, str]) -> AsyncIterator[ReceiverProcess]:
    """Run a receiver while the block lasts.

    Args:
        secrets: Signing secret by path.

    Raises:
        DeliveryError: if it does not start, or exits early.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "delivery.cli.demo.receiver",
        stdin=PIPE,
        stdout=PIPE,
        limit=_LONGEST_LINE,
        # Ctrl-C must reach only the demo, which needs its receiver until the end.
        start_new_session=True,
    )
    try:
        hello = await _ask(process, orjson.dumps(dict(secrets)))
        yield ReceiverProcess(process, hello["url"])
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(_TIMEOUT):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ask(process: Process, line: bytes) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_TIMEOUT):
            process.stdin.write(line + b"\n")
            await process.stdin.drain()
            answer: dict[str, Any] = orjson.loads(await process.stdout.readline())
    except (TimeoutError, ConnectionError, orjson.JSONDecodeError) as error:
        message = f"the demo's receiver does not respond (exit code {process.returncode})"
        raise DeliveryError(message) from error
    return answer
