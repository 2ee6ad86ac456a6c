"""The demo's receiver, which runs in a separate process: `python -m delivery.cli.demo.receiver`.

It reads a JSON object that maps paths to signing secrets from standard input, and writes one with
its port. It replies to each further line with its counts, and exits at the end of its input. The
package `standardwebhooks` verifies the signatures, independent of this package's code.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
import uvloop
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from delivery.cli.demo.scenario import ENDPOINTS
from delivery.testing import Receiver, Respond

if TYPE_CHECKING:
    from delivery.testing import ReceivedRequest, Step

__all__ = ["Tally", "main"]


class Tally:
    """A count of requests by path, message and response status; it verifies every signature.

    Args:
        secrets: Signing secret by path.
    """

    def __init__(self, secrets: dict[str, str]) -> None:
        self._verifiers = {path: Webhook(secret) for path, secret in secrets.items()}
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._by_path: Counter[str] = Counter()
        self._verified = 0
        self._refused: list[str] = []

    def count(self, request: ReceivedRequest, step: Step) -> None:
        """Count a request and its response."""
        path = request.path
        status = step.status if isinstance(step, Respond) else 0
        self._requests[path, request.webhook_id, status] += 1
        self._by_path[path] += 1
        try:
            headers = dict(request.headers)
            self._verifiers[path].verify(request.body, headers, json_parse=False)
        except (WebhookVerificationError, KeyError, ValueError) as error:
            self._refused.append(f"{path} {request.webhook_id}: {error!r}")
        else:
            self._verified += 1

    def brief(self) -> dict[str, Any]:
        """Return the number of requests by path, for the progress display."""
        return {"by_path": self._by_path}

    def full(self) -> dict[str, Any]:
        """Return all counts."""
        return {
            "requests": [[*key, number] for key, number in self._requests.items()],
            "verified": self._verified,
            "refused": self._refused[:100],
            "refused_count": len(self._refused),
        }


async def main() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    tally = Tally(orjson.loads(await lines.readline()))
    async with Receiver(keep=0, on_request=tally.count) as receiver:
        for endpoint in ENDPOINTS:
            receiver.endpoint(endpoint.path, endpoint.behaviour)
        _answer({"url": receiver.url("")})
        while line := await lines.readline():
            _answer(tally.full() if line.strip() == b"full" else tally.brief())


def _answer(value: object) -> None:
    sys.stdout.buffer.write(orjson.dumps(value) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(main())
