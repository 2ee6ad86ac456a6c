"""The engine's own triggers: what it tells of, and in what words.

Reactions subscribe to them by name (`job.exhausted`) or prefix (`reaction.*`). `*` stands for the
triggers of others only: whoever asks for everything that happens does not mean what happens to the
asking itself.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from delivery.models import OwnType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from delivery.policy.endpoint_health import Health

__all__ = ["OWN_TYPES", "exhausted_payload", "reaction_payload"]


OWN_TYPES = tuple(each.value for each in OwnType)
"""A job for one of these raises no `job.exhausted`, which would go on for ever."""


def reaction_payload(
    told: OwnType, reaction_id: UUID, name: str, reason: str | None, health: Health
) -> bytes:
    """What is told of a reaction; times are written as ISO 8601 has them, in UTC."""
    return orjson.dumps(
        {
            "type": told,
            "reaction_id": reaction_id,
            "reaction_name": name,
            "reason": reason,
            "failures": health.failures,
            "failing_since": _time(health.failing_since),
            "paused_until": _time(health.paused_until),
        },
        # The driver's own class of ids is not one that orjson knows.
        default=str,
    )


def _time(epoch: float | None) -> str | None:
    if not epoch:
        return None
    return (
        datetime.fromtimestamp(epoch, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )


def exhausted_payload(described: Mapping[str, Any]) -> bytes:
    """What is told of a job that used up its attempts."""
    names = ("job_id", "reaction_id", "reaction_name", "trigger_id", "trigger_type", "user_id")
    told: dict[str, Any] = {"type": OwnType.JOB_EXHAUSTED}
    told |= {name: described[name] for name in names}
    told["attempts"] = described["attempt"]
    for name in ("status_code", "failure_kind", "error"):
        told[name] = described[name]
    return orjson.dumps(told, default=str)
