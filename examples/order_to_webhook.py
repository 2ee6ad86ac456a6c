"""From an order in a database to a verified webhook, in one program.

    pip install 'delivery[embedded]'
    python examples/order_to_webhook.py

The shop stores an order and its trigger in one transaction. A worker sends the webhook. The
endpoint verifies it, skips duplicates and stores it. The program uses an embedded PostgreSQL,
unless DELIVERY_DATABASE_URL names another one. In production the three parts are separate programs.
"""

from __future__ import annotations

import asyncio
import base64
import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import asyncpg

import delivery

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "whsec_" + base64.b64encode(os.urandom(32)).decode()


async def place_order(
    engine: delivery.Engine, connection: asyncpg.Connection, item: str, cents: int
) -> delivery.Trigger:
    """Commit an order and its trigger together, or neither of them."""
    async with connection.transaction():
        order = await connection.fetchval(
            "INSERT INTO shop_orders (item, cents) VALUES ($1, $2) RETURNING id", item, cents
        )
        return await engine.trigger(
            "order.placed", {"order": order, "item": item, "cents": cents}, connection=connection
        )


class Endpoint(BaseHTTPRequestHandler):
    """Endpoint of a customer, with the steps of docs/receiving-webhooks.md."""

    received: dict[str, bytes] = {}  # noqa: RUF012 - a table with a primary key in production

    def do_POST(self) -> None:
        """Verify the message, and store it unless it is a duplicate."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            message = delivery.verify(body, self.headers, SECRET)
        except delivery.InvalidSignature as error:
            self.send_error(401, f"invalid signature: {error.reason}")
            return
        is_new = message.id not in self.received
        self.received.setdefault(message.id, body)
        print("new message" if is_new else "duplicate", body.decode())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print no line per request."""


@contextmanager
def endpoint_running() -> Iterator[str]:
    """Serve the endpoint in a thread, and yield its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/webhooks"
        server.shutdown()


async def main() -> None:
    """Create a reaction, place an order, and deliver its webhook."""
    allowed = {"allowed_networks": ["127.0.0.0/8"]}  # the endpoint is on this machine
    url = os.environ.get("DELIVERY_DATABASE_URL")
    with endpoint_running() as endpoint:
        async with delivery.connect(url, migrate=True, http=allowed) as engine:
            reaction = await engine.reactions.create(
                name="customer", event_types=["order.*"], url=endpoint, secret=SECRET
            )
            connection = await asyncpg.connect(engine.database_url)
            try:
                await connection.execute(
                    "CREATE TABLE IF NOT EXISTS shop_orders"
                    " (id bigint GENERATED ALWAYS AS IDENTITY, item text, cents integer)"
                )
                trigger = await place_order(engine, connection, "teapot", 1250)
            finally:
                await connection.close()
            (job,) = (await engine.jobs.list(trigger_id=trigger.id, reaction_id=reaction.id)).items
            async with engine.workers():
                job = await engine.jobs.wait(job.id, timeout=30)
            print("job", job.status, "after", job.attempt, "attempt")
            async for log in engine.logs.iterate(job_id=job.id):
                print("log", log.method, log.status_code, log.outcome)
            await engine.reactions.delete(reaction.id)


if __name__ == "__main__":
    asyncio.run(main())
