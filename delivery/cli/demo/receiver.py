"""The demo's receiver, run as a process of its own: `python -m delivery.cli.demo.receiver`.

It reads a JSON object from standard input, path to signing secret; writes one with its port; then
answers each further line with its tallies so far, and ends with its input. Signatures are verified
by the package `standardwebhooks`, not by code of this one.
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
    """Counts requests by path, message and status answered, and verifies every signature.

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
        """Take note of a request and of what it is answered."""
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
        """Requests by path, for watching."""
        return {"by_path": self._by_path}

    def full(self) -> dict[str, Any]:
        """Everything counted."""
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
