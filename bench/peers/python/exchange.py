"""What every Python peer's handler does: sign, POST, and write a row of the log.

The row goes in by one INSERT through a pool of asyncpg connections, and the handler waits for it:
a job is not done before its row is written.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import resource
import sys
import time
from typing import TYPE_CHECKING, Final, Self

import aiohttp  # type: ignore[import-not-found]
import asyncpg
import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AbstractAsyncContextManager

__all__ = ["CONCURRENCY", "Exchanges", "payloads", "run", "until_zero"]

CONCURRENCY: Final = 100
_LOG_CONNECTIONS: Final = 10
_KEY: Final = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
_DATA: Final = "x" * 1000
_INSERT: Final = """
INSERT INTO bench_delivery_logs (job_id, attempt, url, status_code, duration_ms, request_headers,
    request_body, response_headers, response_body)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


def payloads(receiver_url: str, jobs: int) -> list[dict[str, object]]:
    """What the jobs are enqueued with: an address and 1 KB of data, over 100 addresses."""
    return [
        {"url": f"{receiver_url}/{number % 100}", "payload": {"data": _DATA}}
        for number in range(jobs)
    ]


class Exchanges:
    """An HTTP session and a pool for the log, and how many exchanges are to be made."""

    def __init__(self, database_url: str, jobs: int) -> None:
        self._database_url = database_url
        self._left = jobs
        self._done = asyncio.Event()

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=CONCURRENCY)
        self._session = aiohttp.ClientSession(connector=connector)
        self._pool = await asyncpg.create_pool(
            self._database_url, min_size=_LOG_CONNECTIONS, max_size=_LOG_CONNECTIONS
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await self._pool.close()

    async def deliver(self, job_id: object, attempt: int, url: str, payload: object) -> None:
        """Make one exchange and write its row; raises if it is not answered with a 2xx."""
        body = json.dumps(payload).encode()
        headers = _signed(f"msg_{job_id}", body)
        began = time.perf_counter()
        async with self._session.post(url, data=body, headers=headers) as response:
            answer = await response.read()
        await self._pool.execute(
            _INSERT,
            str(job_id),
            attempt,
            url,
            response.status,
            (time.perf_counter() - began) * 1000,
            json.dumps(headers),
            body,
            json.dumps(dict(response.headers)),
            answer,
        )
        response.raise_for_status()
        self._left -= 1
        if not self._left:
            self._done.set()

    async def all_logged(self) -> None:
        """Wait until as many exchanges have been made and logged as there are jobs."""
        await self._done.wait()


def _signed(message_id: str, body: bytes) -> dict[str, str]:
    timestamp = str(int(time.time()))
    content = b"%b.%b.%b" % (message_id.encode(), timestamp.encode(), body)
    signature = base64.b64encode(hmac.digest(_KEY, content, "sha256")).decode()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }


async def until_zero(database_url: str, query: str) -> None:
    """Wait until the peer's own tables say that no job is left."""
    connection = await asyncpg.connect(database_url)
    try:
        while await connection.fetchval(query):
            await asyncio.sleep(0.02)
    finally:
        await connection.close()


def run(
    enqueue: Callable[[str, str, int], Coroutine[None, None, None]],
    working: Callable[[str, int], AbstractAsyncContextManager[None]],
) -> None:
    """Do what the command line says: `enqueue` or `work`, DATABASE_URL, RECEIVER_URL, JOBS.

    `working` is entered when every job is done; what it does on leaving is not timed.
    """
    _, step, database_url, receiver_url, jobs = sys.argv
    if step == "enqueue":
        uvloop.run(enqueue(database_url, receiver_url, int(jobs)))
    else:
        uvloop.run(_timed(working(database_url, int(jobs))))


async def _timed(working: AbstractAsyncContextManager[None]) -> None:
    before, began = _cpu(), time.perf_counter()
    async with working:
        figures = {"seconds": time.perf_counter() - began, "cpu_seconds": _cpu() - before}
    print(json.dumps(figures))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
