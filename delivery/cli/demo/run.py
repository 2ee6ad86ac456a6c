"""A run of the demo: its reactions, triggers, workers and results."""

from __future__ import annotations

import asyncio
import secrets as randomness
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from delivery.cli.demo.progress import ProgressView
from delivery.cli.demo.report import Happened
from delivery.cli.demo.scenario import ENDPOINTS, EVENT_TYPES, RETRY, requests
from delivery.errors import DeliveryError
from delivery.lifecycle import TERMINAL
from delivery.models import JobStatus, ReactionState
from delivery.wording import plain_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from uuid import UUID

    from delivery.cli.demo.receiver_process import ReceiverProcess
    from delivery.cli.demo.scenario import Endpoint
    from delivery.cli.render import Output
    from delivery.models import Job, Reaction
    from delivery.service import Engine

__all__ = ["Run", "deliver", "new_tenant", "reacting", "send"]

_CHUNK: Final = 1_000
"""Triggers per transaction."""
_LOOK_EVERY: Final = 0.2
_PATIENCE: Final = 60.0
"""Seconds without a request until the demo stops waiting."""
_PAGE: Final = 200
_UNFINISHED: Final = (JobStatus.QUEUED, JobStatus.RETRYING, JobStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the demo, with its own tenant to separate it from other data."""

    engine: Engine
    receiver: ReceiverProcess
    tenant: str
    reactions: Mapping[UUID, Endpoint]


def new_tenant() -> str:
    """Return a new tenant."""
    return f"demo-{randomness.token_hex(3)}"


@asynccontextmanager
async def reacting(
    engine: Engine, receiver: ReceiverProcess, secrets: Mapping[str, str]
) -> AsyncIterator[Run]:
    """Create the reactions; disable them at the end, because their receiver stops."""
    tenant = new_tenant()
    made: dict[UUID, Endpoint] = {}
    try:
        for endpoint in ENDPOINTS:
            reaction = await engine.reactions.create(
                name=endpoint.name,
                url=receiver.url + endpoint.path,
                event_types=EVENT_TYPES,
                secret=secrets[endpoint.path],
                retry=RETRY,
                tenant_id=tenant,
            )
            made[reaction.id] = endpoint
        yield Run(engine, receiver, tenant, made)
    finally:
        for reaction_id in made:
            await engine.reactions.update(
                reaction_id, tenant_id=tenant, state=ReactionState.DISABLED.value
            )


async def send(run: Run, count: int) -> int:
    """Write the triggers, and return the number of jobs they created."""
    jobs = 0
    for first in range(0, count, _CHUNK):
        batch = requests(first, min(first + _CHUNK, count))
        written = await run.engine.trigger_many(batch, tenant_id=run.tenant)
        jobs += sum(len(trigger.jobs) for trigger in written)
    return jobs


async def deliver(run: Run, written: int, output: Output) -> Happened:
    """Wait until every job finishes, and collect the records.

    Raises:
        DeliveryError: if progress stops.
    """
    with ProgressView(output, written // len(run.reactions)) as view:
        moved, before = time.monotonic(), -1
        while True:
            calls = await run.receiver.progress()
            view.update(calls)
            total = sum(calls.values())
            if total != before:
                moved, before = time.monotonic(), total
            elif await _quiet(run):
                jobs = await _jobs(run)
                if len(jobs) >= written and all(job.status in TERMINAL for job in jobs):
                    break
            if time.monotonic() - moved > _PATIENCE:
                message = (
                    f"no call was made for {plain_number(_PATIENCE)} s, but jobs are unfinished;"
                    f" see `delivery jobs list --tenant {run.tenant}`"
                )
                raise DeliveryError(message)
            await asyncio.sleep(_LOOK_EVERY)
    reactions: dict[UUID, tuple[Endpoint, Reaction]] = {}
    for reaction_id, endpoint in run.reactions.items():
        reaction = await run.engine.reactions.get(reaction_id, tenant_id=run.tenant)
        reactions[reaction_id] = (endpoint, reaction)
    logs = [log async for log in run.engine.logs.iterate(tenant_id=run.tenant)]
    return Happened(reactions, written, jobs, logs, await run.receiver.seen())


async def _quiet(run: Run) -> bool:
    """Return True if no job seems unfinished; cheaper than reading all jobs."""
    for status in _UNFINISHED:
        page = await run.engine.jobs.list(tenant_id=run.tenant, status=status.value, limit=1)
        if page.items:
            return False
    return True


async def _jobs(run: Run) -> list[Job]:
    jobs: list[Job] = []
    cursor = None
    while True:
        page = await run.engine.jobs.list(
            tenant_id=run.tenant, oldest_first=True, limit=_PAGE, cursor=cursor
        )
        jobs += page.items
        cursor = page.next_cursor
        if cursor is None:
            return jobs
