"""Calls made ready: everything about a reaction's version that does not change from job to job.

A version never changes, so what is made from it may be kept; the least recently used go first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from delivery.message.params import decode_params
from delivery.message.redact import redact_query, redact_url
from delivery.message.request import RequestTemplate
from delivery.message.url import parse_url
from delivery.policy.outcome import OutcomeRules, compile_actions
from delivery.store import reactions

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from delivery.message.url import Endpoint
    from delivery.models import HttpParams, RetryPolicy
    from delivery.settings import HttpSettings
    from delivery.store.connection import Executor
    from delivery.store.queue import ClaimedJob

__all__ = ["PreparedCall", "PreparedCalls", "prepare"]

_KEPT: Final = 20_000


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A call but for the job's own id, time and payload."""

    endpoint: Endpoint
    method: str
    shown_url: str
    """The URL as it may be stored."""
    template: RequestTemplate
    rules: OutcomeRules
    policy: RetryPolicy
    timeout: float
    connect_timeout: float
    concurrency: int | None


def prepare(params: HttpParams, settings: HttpSettings) -> PreparedCall:
    """Make a call ready.

    Raises:
        DeliveryError: if the call cannot be made as it is given.
    """
    endpoint, target = parse_url(params.url, tls=params.tls)
    timeout = settings.timeout if params.timeout is None else params.timeout
    connect_timeout = (
        settings.connect_timeout if params.connect_timeout is None else params.connect_timeout
    )
    return PreparedCall(
        endpoint=endpoint,
        method=params.method,
        shown_url=redact_url(params.url),
        template=RequestTemplate(
            params,
            host=endpoint.host_header,
            target=target,
            stored_target=redact_query(target),
            user_agent=settings.user_agent,
        ),
        rules=compile_actions(params.status_actions),
        policy=params.retry,
        timeout=timeout,
        connect_timeout=min(connect_timeout, timeout),
        concurrency=params.concurrency,
    )


class PreparedCalls:
    """The calls of reaction versions, each read and made ready once."""

    def __init__(self, executor: Executor, settings: HttpSettings) -> None:
        self._executor = executor
        self._settings = settings
        self._calls: OrderedDict[tuple[UUID, int], PreparedCall | Exception] = OrderedDict()

    async def load(self, jobs: Iterable[ClaimedJob]) -> None:
        """Read the versions these jobs need and that are not here yet.

        Raises:
            asyncpg.PostgresError, OSError: if they cannot be read; the jobs must wait.
        """
        missing = {
            (job.reaction_id, job.reaction_version or 0)
            for job in jobs
            if job.reaction_id is not None
            and (job.reaction_id, job.reaction_version) not in self._calls
        }
        if not missing:
            return
        stored = await reactions.load_versions(self._executor, missing)
        for key in missing:
            if key in stored:
                self._calls[key] = self._prepare_stored(*stored[key])
            else:
                self._calls[key] = LookupError("the reaction's version is not in the database")
        while len(self._calls) > _KEPT:
            self._calls.popitem(last=False)

    def get(self, job: ClaimedJob) -> PreparedCall | Exception:
        """The job's call, or why there is none; `load` must have been called for the job."""
        if job.reaction_id is None:
            if job.params is None or job.credentials is None:
                return LookupError("what the direct job sends is not in the database")
            return self._prepare_stored(job.params, job.credentials)
        key = (job.reaction_id, job.reaction_version or 0)
        try:
            self._calls.move_to_end(key)
        except KeyError:
            return LookupError("the reaction's version was not loaded")
        return self._calls[key]

    def _prepare_stored(self, params: str, credentials: str) -> PreparedCall | Exception:
        # A row that cannot be read, whatever is wrong with it, must fail its jobs, not the worker.
        try:
            return prepare(decode_params(params, credentials), self._settings)
        except Exception as error:  # noqa: BLE001
            return error
