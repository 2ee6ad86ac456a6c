"""The receiver: nginx where it is installed, else the receiver of `delivery.testing`."""

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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Tls", "receiver"]

_NGINX: Final = """
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 8192; }}
http {{
    log_format ids '$http_webhook_id';
    access_log {ids};
    keepalive_requests 1000000000;
    keepalive_timeout {keepalive};
    client_body_buffer_size 64k;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=8192{ssl};
        {certificate}
        location / {{ {response}; }}
    }}
}}
"""

_OWN: Final = """
import asyncio, sys
from delivery.testing import Respond, Receiver
try:
    from uvloop import run
except ImportError:
    run = asyncio.run
async def main():
    response = Respond(body=b"x" * int(sys.argv[2]))
    with open(sys.argv[3], "a", buffering=1) as ids:
        async with Receiver(
            port=int(sys.argv[1]),
            default=response,
            keep=0,
            on_request=lambda request, _: ids.write(request.webhook_id + "\n"),
        ):
            await asyncio.Event().wait()
run(main())
"""


@dataclass(frozen=True, slots=True)
class Tls:
    """Certificate and key of a TLS receiver, and the authority (PEM) that signed them."""

    authority: str
    certificate: Path
    key: Path


@contextmanager
def receiver(
    *,
    body: int = 2,
    tls: Tls | None = None,
    keep_alive: bool = True,
    ids: Path | None = None,
) -> Iterator[tuple[str, str]]:
    """Run a loopback receiver that responds 200 to every request; yield its URL and its name.

    Args:
        body: Bytes of every response body.
        tls: Whether it speaks TLS; only where nginx is installed.
        keep_alive: Whether connections are reused for the next request; only with nginx.
        ids: File to which the `webhook-id` of every request is appended.
    """
    port = _free_port()
    nginx = shutil.which("nginx")
    with tempfile.TemporaryDirectory(prefix="delivery-bench-") as directory:
        if nginx:
            Path(directory).chmod(0o755)
            configuration = Path(directory, "nginx.conf")
            configuration.write_text(_configuration(directory, port, body, tls, keep_alive, ids))
            command = [nginx, "-p", directory, "-c", str(configuration)]
        else:
            command = [sys.executable, "-c", _OWN, str(port), str(body), str(ids or os.devnull)]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            _wait_for(port, process)
            scheme = "http" if tls is None else "https"
            yield f"{scheme}://127.0.0.1:{port}", "nginx" if nginx else "delivery.testing.Receiver"
        finally:
            os.kill(process.pid, signal.SIGTERM)
            process.wait()


def _configuration(
    directory: str,
    port: int,
    body: int,
    tls: Tls | None,
    keep_alive: bool,  # noqa: FBT001
    ids: Path | None,
) -> str:
    if body > 2:  # noqa: PLR2004 - too long for a line of the configuration
        Path(directory, "index.html").write_bytes(b"x" * body)
        # nginx serves a file in response to POST only as an error page.
        response = f"error_page 405 =200 /index.html; root {directory}; try_files /index.html =404"
    else:
        response = 'return 200 "ok"'
    certificate = ""
    if tls is not None:
        certificate = f"ssl_certificate {tls.certificate}; ssl_certificate_key {tls.key};"
    return _NGINX.format(
        directory=directory,
        port=port,
        ssl="" if tls is None else " ssl",
        certificate=certificate,
        response=response,
        keepalive=600 if keep_alive else 0,
        ids="off" if ids is None else f"{ids} ids",
    )


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
    message = f"the receiver did not start on port {port}"
    raise RuntimeError(message)
