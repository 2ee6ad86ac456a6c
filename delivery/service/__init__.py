"""Façade of library, command line and API: checks arguments and calls the engine."""

from __future__ import annotations

from delivery.service.engine import Engine
from delivery.service.opening import connect
from delivery.service.trigger_request import TriggerRequest

__all__ = ["Engine", "TriggerRequest", "connect"]
