"""The other end: nginx where it is installed, else the receiver of `delivery.testing`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["receiver"]

_NGINX: Final = """
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_buffer_size 64k;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=8192;
        location / {{ return 200 "ok"; }}
    }}
}}
"""

_OWN: Final = """
import asyncio, sys
from delivery.testing import Answer, Receiver
try:
    from uvloop import run
except ImportError:
    run = asyncio.run
async def main():
    async with Receiver(port=int(sys.argv[1]), default=Answer(body=b"ok"), keep=0):
        await asyncio.Event().wait()
run(main())
"""


@contextmanager
def receiver() -> Iterator[tuple[str, str]]:
    """What answers 200 to everything on loopback: its URL, and what it is."""
    port = _free_port()
    nginx = shutil.which("nginx")
    with tempfile.TemporaryDirectory(prefix="delivery-bench-") as directory:
        if nginx:
            Path(directory).chmod(0o755)
            configuration = Path(directory, "nginx.conf")
            configuration.write_text(_NGINX.format(directory=directory, port=port))
            command = [nginx, "-p", directory, "-c", str(configuration)]
        else:
            command = [sys.executable, "-c", _OWN, str(port)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}", "nginx" if nginx else "delivery.testing.Receiver"
        finally:
            os.kill(process.pid, signal.SIGTERM)
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    message = f"the receiver did not come up on port {port}"
    raise RuntimeError(message)
