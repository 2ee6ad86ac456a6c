"""One run of a claimed job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

    from delivery.engine.runners.prepared_calls import PreparedCall
    from delivery.http.pool import Slot
    from delivery.message.request.template import Rendered
    from delivery.models import Exchange, FailureKind
    from delivery.store.queue import ClaimedJob

__all__ = ["Attempt"]


@dataclass(slots=True, eq=False, repr=False)
class Attempt:
    """A claimed job with its call, and the result once it has run.

    Not frozen: one is made for every delivery, and the runner fills it in. After a cancellation it
    contains all that is known about the call.
    """

    lease_id: UUID
    job: ClaimedJob
    call: PreparedCall
    slot: Slot | None = None
    """Slot at the endpoint that the job waited for. The runner hands it to the transport."""
    rendered: Rendered | None = None
    """Request. None until it is complete; the call begins immediately after that."""
    exchange: Exchange | None = None
    """Exchange of a call that ended. None for an attempt that failed without one."""
    failure_kind: FailureKind | None = None
    """Reason of a failure without an exchange."""
    error: str | None = None
    """Message of a failure without an exchange."""
    abort_reason: str | None = None
    """Reason of the request to abort this attempt. None without such a request."""
    is_long: bool = False
    """True if the log row may take long to make, so that it needs a turn of `Computations`."""

    @property
    def has_ended(self) -> bool:
        """True if the attempt has a result."""
        return self.exchange is not None or self.failure_kind is not None

    def fail(self, kind: FailureKind, error: str) -> None:
        """Set the result of an attempt that failed without an exchange."""
        self.failure_kind = kind
        self.error = error
