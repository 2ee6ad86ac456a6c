"""Reactions, triggers and jobs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from delivery.models.enums import CircuitState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from delivery.models.call import HttpParams
    from delivery.models.enums import FailureKind, JobStatus, ReactionState, TriggerState
    from delivery.models.secrets import SigningSecret

__all__ = ["Job", "Page", "Reaction", "ReactionHealth", "Trigger", "TriggerStatus"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReactionHealth:
    """Health of a reaction's endpoint."""

    circuit: CircuitState = CircuitState.CLOSED
    failures: int = 0
    """Number of consecutive failures."""
    failing_since: datetime | None = None
    """End time of the first of these failures."""
    paused_until: datetime | None = None
    """End of the present pause, if any."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """Subscription of an endpoint: event types, condition and HTTP request."""

    id: UUID
    tenant_id: str
    area_id: str | None
    name: str
    event_types: tuple[str, ...]
    """Exact event types, prefixes (`order.*`), or `*`."""
    condition: str | None
    """JMESPath expression on the payload. The reaction matches if the result is truthy."""
    params: HttpParams
    """HTTP request. Secrets are `***` unless they were requested."""
    priority: int
    """Priority from 0 to 32767. Lower values run first within the reaction's lane."""
    state: ReactionState
    state_reason: str | None
    version: int
    """Number that increases with every change of the request. Jobs store their version."""
    created_at: datetime
    updated_at: datetime
    health: ReactionHealth = ReactionHealth()
    secrets: tuple[SigningSecret, ...] = ()
    """Present signing secrets, newest first. They apply to jobs of all versions."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Strings for the use of the caller."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Event that occurred, and its jobs."""

    id: UUID
    tenant_id: str
    type: str
    payload: bytes
    """JSON, unchanged."""
    created_at: datetime
    jobs: tuple[UUID, ...] = ()
    """Ids of the jobs, in the order of their reactions."""


@dataclass(frozen=True, slots=True)
class TriggerStatus:
    """Combined state of the jobs of a trigger."""

    trigger_id: UUID
    state: TriggerState
    jobs: int
    """Number of jobs."""
    counts: Mapping[JobStatus, int]
    """Number of jobs in each status. Statuses without jobs are omitted."""


@dataclass(frozen=True, slots=True)
class Job:
    """Delivery of one trigger to one reaction, or a direct job."""

    id: UUID
    tenant_id: str
    user_id: str | None
    trigger_id: UUID | None
    reaction_id: UUID | None
    reaction_version: int | None
    message_id: str
    """The `webhook-id` of all its requests; a redelivery has that of the first job."""
    priority: int
    status: JobStatus
    attempt: int
    """Number of attempts begun, including the running one."""
    max_attempts: int
    run_at: datetime
    """Time at which the job is, or was last, due."""
    deadline: datetime | None
    failure_kind: FailureKind | None
    exhausted: bool
    """True if the job failed because its attempts or its `max_elapsed` were used up."""
    status_code: int | None
    """Status of the last response."""
    error: str | None
    stalls: int
    """Number of workers that died while they had a lease on the job."""
    locked_by: UUID | None
    """Worker that has a lease on the job."""
    locked_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Page of a list."""

    items: tuple[T, ...]
    next_cursor: str | None
    """Value of `cursor` for the next page. None on the last page."""
