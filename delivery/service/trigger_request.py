"""Input of `trigger_many`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime, timedelta

__all__ = ["TriggerRequest"]


@dataclass(frozen=True, slots=True)
class TriggerRequest:
    """One trigger for `trigger_many`; the fields are the arguments of `trigger`."""

    type: str
    payload: Any
    user_id: str | None = None
    run_at: datetime | None = None
    delay: float | timedelta | None = None
    priority: int | None = None
    deadline: datetime | None = None
