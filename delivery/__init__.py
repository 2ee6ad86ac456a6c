"""Asyncio webhook-delivery engine on PostgreSQL: fan-out, retries, a log of every attempt.

Public names are imported on first use, so `import delivery` is fast and a program loads only the
parts that it needs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from delivery.engine.events import JobsSettled, ReactionHealthChanged, SettledJob
    from delivery.errors import (
        AddressInUse,
        DatabaseError,
        DatabaseUnavailable,
        DeliveryError,
        EmbeddedDatabaseError,
        InvalidInput,
        InvalidPayload,
        InvalidReaction,
        InvalidSecret,
        InvalidSetting,
        InvalidSignature,
        JobTimeout,
        MissingKey,
        NotFound,
        NoTransaction,
        SchemaMismatch,
        SignatureProblem,
        UnusableConnection,
    )
    from delivery.message.signing import VerifiedMessage, verify
    from delivery.models import (
        Body,
        BodyKind,
        CircuitState,
        Compression,
        DeliveryLog,
        FailureKind,
        HttpMessage,
        HttpParams,
        Job,
        JobStatus,
        Outcome,
        Page,
        RateLimit,
        Reaction,
        ReactionHealth,
        ReactionState,
        Redirect,
        RequestPreview,
        RetryPolicy,
        RetryStrategy,
        SignatureKind,
        SigningSecret,
        StatusAction,
        TestCall,
        Timings,
        TlsOptions,
        Trigger,
        TriggerState,
        TriggerStatus,
    )
    from delivery.service import Engine, TriggerRequest, connect
    from delivery.settings import Settings, load_settings

__all__ = [
    "AddressInUse",
    "Body",
    "BodyKind",
    "CircuitState",
    "Compression",
    "DatabaseError",
    "DatabaseUnavailable",
    "DeliveryError",
    "DeliveryLog",
    "EmbeddedDatabaseError",
    "Engine",
    "FailureKind",
    "HttpMessage",
    "HttpParams",
    "InvalidInput",
    "InvalidPayload",
    "InvalidReaction",
    "InvalidSecret",
    "InvalidSetting",
    "InvalidSignature",
    "Job",
    "JobStatus",
    "JobTimeout",
    "JobsSettled",
    "MissingKey",
    "NoTransaction",
    "NotFound",
    "Outcome",
    "Page",
    "RateLimit",
    "Reaction",
    "ReactionHealth",
    "ReactionHealthChanged",
    "ReactionState",
    "Redirect",
    "RequestPreview",
    "RetryPolicy",
    "RetryStrategy",
    "SchemaMismatch",
    "Settings",
    "SettledJob",
    "SignatureKind",
    "SignatureProblem",
    "SigningSecret",
    "StatusAction",
    "TestCall",
    "Timings",
    "TlsOptions",
    "Trigger",
    "TriggerRequest",
    "TriggerState",
    "TriggerStatus",
    "UnusableConnection",
    "VerifiedMessage",
    "connect",
    "load_settings",
    "verify",
]

_MODULES: Final = {
    "delivery.engine.events": (
        "JobsSettled",
        "ReactionHealthChanged",
        "SettledJob",
    ),
    "delivery.errors": (
        "AddressInUse",
        "DatabaseError",
        "DatabaseUnavailable",
        "DeliveryError",
        "EmbeddedDatabaseError",
        "InvalidInput",
        "InvalidPayload",
        "InvalidReaction",
        "InvalidSecret",
        "InvalidSetting",
        "InvalidSignature",
        "JobTimeout",
        "MissingKey",
        "NotFound",
        "NoTransaction",
        "SchemaMismatch",
        "SignatureProblem",
        "UnusableConnection",
    ),
    "delivery.message.signing": (
        "VerifiedMessage",
        "verify",
    ),
    "delivery.models": (
        "Body",
        "BodyKind",
        "CircuitState",
        "Compression",
        "DeliveryLog",
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
    ),
    "delivery.service": (
        "Engine",
        "TriggerRequest",
        "connect",
    ),
    "delivery.settings": (
        "Settings",
        "load_settings",
    ),
}
"""Public names by their modules."""
_SOURCES: Final = {name: module for module, names in _MODULES.items() for name in names}
_SUBMODULES: Final = frozenset({"errors", "models", "settings", "testing"})
"""Public modules, which are imported on first use, as in `delivery.errors`."""


if not TYPE_CHECKING:
    # Type checkers must not see this function: they would accept any name.

    def __getattr__(name: str) -> Any:
        if name in _SUBMODULES:
            return import_module(f"delivery.{name}")
        if name not in _SOURCES:
            message = f"module 'delivery' has no attribute {name!r}"
            raise AttributeError(message)
        value = getattr(import_module(_SOURCES[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__, *_SUBMODULES})
