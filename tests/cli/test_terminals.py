"""Text of a hostile endpoint neither controls a terminal nor breaks JSON, in any encoding."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from tests.cli.running import run
from tests.support.engines import QUICK_RETRIES, engine_on, wait_for_all
from tests.support.raw_servers import answering, serving

if TYPE_CHECKING:
    from uuid import UUID

pytestmark = pytest.mark.anyio

HOSTILE = "\x1b[2J\x9b31m\x9d0;title\x07 \u202eevil\u2066 \u2028 \x7f größer €😀".encode()
RESPONSE = (
    b"HTTP/1.1 500 Oh \x1b[31m\x9b1m no\r\nX-Evil: \x1b]0;x\x07 \x9b5m \xc2\x9b7m\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(HOSTILE), HOSTILE)
)
STEERING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


async def delivered(database_url: str) -> UUID:
    """Create a job with hostile text in its response, payload, names and headers."""
    odd = HOSTILE.decode().replace("\x07", "")
    async with serving(answering(RESPONSE)) as server, engine_on(database_url) as engine:
        await engine.reactions.create(
            name=f"odd {odd[-9:]}\u202e",
            url=server.url,
            retry={**QUICK_RETRIES, "max_attempts": 1},
        )
        async with engine.workers():
            trigger = await engine.trigger("x", {"odd": odd})
            await wait_for_all(engine, trigger.jobs)
        (log,) = (await engine.logs.list()).items
        return log.id


async def at_a_terminal(*arguments: str, encoding: str) -> str:
    """Return the output of a command in a terminal of 200 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "delivery", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "dumb", "NO_COLOR": "1", "PYTHONIOENCODING": encoding},
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = await asyncio.to_thread(os.read, ours, 65_536)
        except OSError:
            break
        if not part:
            break
        written += part
    os.close(ours)
    assert await process.wait() == 0, written
    return written.decode(encoding)


async def test_an_endpoint_cannot_control_a_terminal(database_url: str) -> None:
    log_id = await delivered(database_url)
    show = ("logs", "show", str(log_id))
    for encoding, command in (
        ("utf-8", show),
        ("utf-8", (*show, "--json")),
        ("latin-1", ("reactions", "list")),
        ("latin-1", (*show, "--json")),
    ):
        shown = await at_a_terminal(*command, "--database-url", database_url, encoding=encoding)
        assert not STEERING.search(shown), command
        if "--json" in command:
            json.loads(shown)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
async def test_json_is_valid_in_every_encoding_of_the_output(
    database_url: str, encoding: str
) -> None:
    log_id = await delivered(database_url)
    environment = {"PYTHONIOENCODING": f"{encoding}:strict"}
    options = ("--json", "--database-url", database_url)
    shown = (await run("logs", "show", str(log_id), *options, environment=environment)).object
    assert shown["response"]["body"].encode() == HOSTILE
    wrong = ("jobs", "list", "--status", "größer € \udcff", *options)
    refused = await run(*wrong, environment=environment)
    assert refused.code == 2
    assert "größer €" in json.loads(refused.err)["error"]["message"]
    if encoding != "latin-1":
        text = await run("logs", "show", str(log_id), *options[1:], environment=environment)
        assert text.code == 0
        assert not STEERING.search(text.out)
