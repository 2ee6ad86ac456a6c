"""The handler of every Python peer: sign, POST, and write a log row.

The handler inserts the row with one INSERT through a pool of asyncpg connections and waits for it:
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
    """Return the payloads of the jobs: a URL and 1 KB of data each, over 100 URLs."""
    return [
        {"url": f"{receiver_url}/{number % 100}", "payload": {"data": _DATA}}
        for number in range(jobs)
    ]


class Exchanges:
    """An HTTP session, a pool for the log, and the number of exchanges to make."""

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
        """Make one exchange and write its row; a response other than 2xx is an error."""
        body = json.dumps(payload).encode()
        headers = _signed(f"msg_{job_id}", body)
        began = time.perf_counter()
        async with self._session.post(url, data=body, headers=headers) as response:
            content = await response.read()
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
            content,
        )
        response.raise_for_status()
        self._left -= 1
        if not self._left:
            self._done.set()

    async def all_logged(self) -> None:
        """Wait until one exchange per job has been made and logged."""
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
    """Wait until the peer's own tables have no job left."""
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
    """Run the step on the command line: `enqueue` or `work`, DATABASE_URL, RECEIVER_URL, JOBS.

    `working` yields when every job is done. Its cleanup after that is not timed.
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
