"""A delivery end to end: a direct job to a receiver in this process, through the real engine."""

from __future__ import annotations

import secrets
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from delivery.errors import DeliveryError, InvalidSignature
from delivery.http.guard import Guard
from delivery.http.native import NativeTransport
from delivery.message.signing import generate_secret, verify
from delivery.models import FailureKind, JobStatus
from delivery.service import connect
from delivery.service.doctor import CheckStatus, Finding
from delivery.testing import Receiver, Respond
from delivery.wording import counted

if TYPE_CHECKING:
    from delivery.message.request.url import Endpoint
    from delivery.models import Job
    from delivery.settings import Settings

__all__ = ["check_delivery"]

_NAME: Final = "delivery"
_TIMEOUT: Final = 30.0
_PATH: Final = "/doctor"


class _LoopbackGuard(Guard):
    """The configured guard, which also allows one port of this machine."""

    def __init__(self, settings: Settings, port: int) -> None:
        http = settings.http
        super().__init__(
            http.allowed_networks,
            http.allowed_hosts,
            http.allowed_ports,
            require_https=http.require_https,
        )
        self._port = port

    async def resolve(self, endpoint: Endpoint) -> list[str]:
        if (endpoint.scheme, endpoint.host, endpoint.port) == ("http", "localhost", self._port):
            return ["127.0.0.1"]
        return await super().resolve(endpoint)


async def check_delivery(url: str, settings: Settings) -> Finding:
    """Write a job, deliver it with a worker of this process, and check the request.

    The worker may also deliver other due jobs.
    """
    secret = generate_secret()
    payload = secrets.token_hex(16)
    try:
        async with AsyncExitStack() as stack:
            receiver = await stack.enter_async_context(Receiver())
            receiver.endpoint(_PATH, Respond())
            transport = NativeTransport(
                _LoopbackGuard(settings, receiver.port),
                settings.http.keepalive,
                settings.http.connections_per_origin,
                settings.http.max_response_head,
                settings.http.max_response_body,
            )
            stack.push_async_callback(transport.aclose)
            engine = await stack.enter_async_context(
                connect(url, settings=_modest(settings, receiver.port), transport=transport)
            )
            started = time.perf_counter()
            await stack.enter_async_context(engine.workers())
            job = await engine.jobs.create(
                url=f"http://localhost:{receiver.port}{_PATH}",
                payload=payload,
                secret=secret,
                retry={"max_attempts": 1},
                tenant_id="delivery-doctor",
                priority=0,
            )
            job = await engine.jobs.wait(job.id, timeout=_TIMEOUT, tenant_id="delivery-doctor")
            took = (time.perf_counter() - started) * 1000
            logs = await engine.logs.list(job_id=job.id, tenant_id="delivery-doctor")
    except DeliveryError as error:
        return Finding(_NAME, CheckStatus.FAILED, str(error))
    return _judge(job, receiver, secret, len(logs.items), took)


def _judge(job: Job, receiver: Receiver, secret: str, logged: int, took: float) -> Finding:
    if job.failure_kind is FailureKind.BLOCKED and receiver.count() == 0:
        return Finding(
            _NAME,
            CheckStatus.WARNING,
            "another process took the job, but its settings forbid calls to this machine",
            "other workers are running; stop them during this check",
        )
    if job.status is not JobStatus.SUCCEEDED:
        return Finding(_NAME, CheckStatus.FAILED, f"the job {job.status}: {job.error}")
    if not receiver.received or logged != 1:
        detail = (
            f"{counted(receiver.count(), 'request')} arrived and {logged} logged, but 1 is right"
        )
        return Finding(_NAME, CheckStatus.FAILED, detail)
    request = receiver.received[0]
    try:
        verify(request.body, request.headers, secret)
    except InvalidSignature as error:
        return Finding(_NAME, CheckStatus.FAILED, f"the signature was refused: {error}")
    return Finding(_NAME, CheckStatus.OK, f"sent, verified and logged in {took:.0f} ms")


def _modest(settings: Settings, port: int) -> Settings:
    """Return the settings for a worker with few slots that may call the port."""
    worker = settings.worker.model_copy(
        update={"concurrency": 4, "reaction_concurrency": 1, "batch_size": 4}
    )
    ports = settings.http.allowed_ports
    # For saving the job only; the guard above decides about requests.
    http = settings.http.model_copy(
        update={
            "allowed_ports": None if ports is None else (*ports, port),
            "allowed_hosts": (*settings.http.allowed_hosts, "localhost"),
            "require_https": False,
        }
    )
    # Few sessions, because a pooler may limit them, and early errors.
    database = settings.database.model_copy(update={"pool_size": 2, "statement_timeout": 5.0})
    return settings.model_copy(update={"worker": worker, "http": http, "database": database})
