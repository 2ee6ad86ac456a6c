"""The façade that library, command line and API share: it checks, and lets the engine work."""

from __future__ import annotations

from delivery.service.engine import Engine
from delivery.service.opening import connect
from delivery.service.trigger_request import TriggerRequest

__all__ = ["Engine", "TriggerRequest", "connect"]
