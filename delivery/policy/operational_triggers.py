"""Triggers that the engine raises itself, and their payloads.

Reactions subscribe to these triggers by name (`job.exhausted`) or prefix (`reaction.*`). The
pattern `*` does not match them: a subscriber to all business events does not expect events about
its own subscription.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from delivery.models import EngineEventType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from delivery.policy.endpoint_health import Health

__all__ = ["OWN_TYPES", "exhausted_payload", "reaction_payload"]


OWN_TYPES = tuple(each.value for each in EngineEventType)
"""Event types of the engine's own triggers. Their jobs never raise `job.exhausted`, to avoid a
loop."""


def reaction_payload(
    event_type: EngineEventType, reaction_id: UUID, name: str, reason: str | None, health: Health
) -> bytes:
    """Build the payload of a `reaction.*` trigger, with times in ISO 8601 and UTC."""
    return orjson.dumps(
        {
            "type": event_type,
            "reaction_id": reaction_id,
            "reaction_name": name,
            "reason": reason,
            "failures": health.failures,
            "failing_since": _time(health.failing_since),
            "paused_until": _time(health.paused_until),
        },
        # orjson does not support the UUID class of the database driver.
        default=str,
    )


def _time(epoch: float | None) -> str | None:
    if not epoch:
        return None
    return (
        datetime.fromtimestamp(epoch, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    )


def exhausted_payload(described: Mapping[str, Any]) -> bytes:
    """Build the payload of a `job.exhausted` trigger."""
    names = ("job_id", "reaction_id", "reaction_name", "trigger_id", "trigger_type", "user_id")
    payload: dict[str, Any] = {"type": EngineEventType.JOB_EXHAUSTED}
    payload |= {name: described[name] for name in names}
    payload["attempts"] = described["attempt"]
    for name in ("status_code", "failure_kind", "error"):
        payload[name] = described[name]
    return orjson.dumps(payload, default=str)
