"""Data models of the engine: frozen, slotted dataclasses and enums.

SQL, Python, JSON and the command line use the same names. Durations are seconds as floats, unless
the name ends in `_ms`. Times are aware datetimes from the database's clock.
"""

from __future__ import annotations

from delivery.models.call import Body, HttpParams, RateLimit, RetryPolicy, TlsOptions
from delivery.models.enums import (
    BodyKind,
    CircuitState,
    Compression,
    EngineEventType,
    FailureKind,
    JobStatus,
    Outcome,
    ReactionState,
    RetryStrategy,
    SignatureKind,
    StatusAction,
    TriggerState,
)
from delivery.models.exchanges import (
    LONG_RESPONSE,
    DeliveryLog,
    Exchange,
    HttpMessage,
    Redirect,
    RequestPreview,
    TestCall,
    Timings,
)
from delivery.models.records import Job, Page, Reaction, ReactionHealth, Trigger, TriggerStatus
from delivery.models.secrets import SigningSecret

__all__ = [
    "LONG_RESPONSE",
    "Body",
    "BodyKind",
    "CircuitState",
    "Compression",
    "DeliveryLog",
    "EngineEventType",
    "Exchange",
    "FailureKind",
    "HttpMessage",
    "HttpParams",
    "Job",
    "JobStatus",
    "Outcome",
    "Page",
    "RateLimit",
    "Reaction",
    "ReactionHealth",
    "ReactionState",
    "Redirect",
    "RequestPreview",
    "RetryPolicy",
    "RetryStrategy",
    "SignatureKind",
    "SigningSecret",
    "StatusAction",
    "TestCall",
    "Timings",
    "TlsOptions",
    "Trigger",
    "TriggerState",
    "TriggerStatus",
]
