"""Reactions, triggers and jobs as they are shown."""

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
    """How a reaction's endpoint has answered lately."""

    circuit: CircuitState = CircuitState.CLOSED
    failures: int = 0
    """Failed calls in a row."""
    failing_since: datetime | None = None
    """When the first of them ended."""
    paused_until: datetime | None = None
    """Until when no call is made, if that is still to come."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """What to do about triggers of certain types: an HTTP call to make for each."""

    id: UUID
    tenant_id: str
    area_id: str | None
    name: str
    event_types: tuple[str, ...]
    """Exact names, dotted prefixes (`order.*`), or `*`."""
    condition: str | None
    """A JMESPath expression over the payload; the reaction matches where it is truthy."""
    params: HttpParams
    """What is secret in it is `***`, unless it was asked for."""
    priority: int
    """Lower runs first within the reaction's lane; 0 to 32767."""
    state: ReactionState
    state_reason: str | None
    version: int
    """Grows with every change of what is sent; jobs keep the version they were made with."""
    created_at: datetime
    updated_at: datetime
    health: ReactionHealth = ReactionHealth()
    secrets: tuple[SigningSecret, ...] = ()
    """What its calls are signed with now, newest first, whatever version a job was made with."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Strings for the use of the caller."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """One occurrence, and the jobs it fanned out into."""

    id: UUID
    tenant_id: str
    type: str
    payload: bytes
    """JSON, as it was given."""
    created_at: datetime
    jobs: tuple[UUID, ...] = ()
    """Ids of its jobs, in reaction order."""


@dataclass(frozen=True, slots=True)
class TriggerStatus:
    """The combined state of the jobs of one trigger."""

    trigger_id: UUID
    state: TriggerState
    jobs: int
    """How many jobs there are."""
    counts: Mapping[JobStatus, int]
    """How many of them have each status; statuses that none has are left out."""


@dataclass(frozen=True, slots=True)
class Job:
    """One call to make for one trigger, and how it stands."""

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
    """Attempts begun so far, the running one included."""
    max_attempts: int
    run_at: datetime
    """When it is, or was last, due."""
    deadline: datetime | None
    failure_kind: FailureKind | None
    exhausted: bool
    """Whether it failed because its attempts were used up."""
    status_code: int | None
    """The last answer's status."""
    error: str | None
    stalls: int
    """How often the worker that held it died."""
    locked_by: UUID | None
    """The worker that runs it now."""
    locked_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a listing."""

    items: tuple[T, ...]
    next_cursor: str | None
    """Give it as `cursor` to read on; None at the end."""
