"""The stored form of calls: JSON of the redacted call, and encrypted JSON of its secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from delivery.message.redaction.calls import redact_call, refuse_marks, secret_parts
from delivery.models import (
    Body,
    BodyKind,
    Compression,
    HttpParams,
    RateLimit,
    RetryPolicy,
    RetryStrategy,
    StatusAction,
    TlsOptions,
)

if TYPE_CHECKING:
    from delivery.message.storage.encryption import Cipher

__all__ = [
    "StoredCall",
    "decode_params",
    "encode_params",
    "encode_redacted",
    "redacted_params",
    "same_request",
]

_NO_CREDENTIALS: Final = "{}"
"""Stored credentials of a call without secrets, which need no encryption."""

_NOT_SENT: Final = frozenset({"retry", "concurrency", "rate_limit", "ordered", "live"})
"""Keys of a stored call that do not affect its request."""


class StoredCall(NamedTuple):
    """Stored form of a call."""

    params: str
    """JSON of the redacted call. No SQL statement reads values from it."""
    credentials: str
    """Encrypted JSON of the parts that are redacted in `params`; `{}` without any."""


def encode_params(params: HttpParams, cipher: Cipher) -> StoredCall:
    """Return the stored form of a call.

    Raises:
        InvalidReaction: if it has `***` in place of a secret.
    """
    refuse_marks(params)
    redacted = redact_call(params)
    real, visible = secret_parts(params), secret_parts(redacted)
    secret = {part: value for part, value in real.items() if value != visible[part]}
    credentials = cipher.encrypt(orjson.dumps(secret)) if secret else _NO_CREDENTIALS
    return StoredCall(encode_redacted(redacted), credentials)


def encode_redacted(params: HttpParams) -> str:
    """Encode a redacted call as JSON."""
    retry = params.retry
    stored = {
        "url": params.url,
        "method": params.method,
        "headers": params.headers,
        "query": params.query,
        "body": {
            "kind": params.body.kind,
            "content": params.body.content,
            "content_type": params.body.content_type,
        },
        "compression": params.compression,
        "redirects": params.redirects,
        "timeout": params.timeout,
        "connect_timeout": params.connect_timeout,
        "retry": {
            "max_attempts": retry.max_attempts,
            "strategy": retry.strategy,
            "base": retry.base,
            "factor": retry.factor,
            "max": retry.max,
            "jitter": retry.jitter,
            "max_elapsed": retry.max_elapsed,
            "schedule": retry.schedule,
        },
        "status_actions": params.status_actions,
        "concurrency": params.concurrency,
        "rate_limit": None
        if params.rate_limit is None
        else {"limit": params.rate_limit.limit, "period": params.rate_limit.period},
        "ordered": params.ordered,
        "live": params.live,
        "tls": {
            "ca": params.tls.ca,
            "client_certificate": params.tls.client_certificate,
            "client_key": params.tls.client_key,
            "minimum_version": params.tls.minimum_version,
        },
    }
    return orjson.dumps(stored).decode()


def decode_params(call: StoredCall, cipher: Cipher) -> HttpParams:
    """Decode a call that `encode_params` encoded.

    Raises:
        MissingKey: if it is encrypted with a key that the cipher does not have.
        KeyError, TypeError, ValueError: if `encode_params` did not write the texts.
    """
    if call.credentials == _NO_CREDENTIALS:
        return _decoded(call.params, {})
    return _decoded(call.params, orjson.loads(cipher.decrypt(call.credentials)))


def redacted_params(call: StoredCall) -> HttpParams:
    """Return the redacted call; this needs no key.

    Raises:
        KeyError, TypeError, ValueError: if `encode_params` did not write the texts.
    """
    # Earlier versions stored calls without redaction.
    encrypted = not call.credentials.startswith("{")
    return redact_call(_decoded(call.params, {} if encrypted else orjson.loads(call.credentials)))


def same_request(one: StoredCall, other: StoredCall) -> bool:
    """Return True if two stored calls send the same request, with any schedule.

    Texts that cannot be decoded are compared as strings.
    """
    if one.credentials != other.credentials:
        return False
    try:
        return _request_of(one.params) == _request_of(other.params)
    except (TypeError, ValueError):
        return one.params == other.params


def _request_of(params: str) -> dict[str, Any]:
    stored = dict(orjson.loads(params))
    return {key: value for key, value in stored.items() if key not in _NOT_SENT}


def _decoded(redacted: str, secret: dict[str, Any]) -> HttpParams:
    stored: dict[str, Any] = orjson.loads(redacted)
    retry = stored["retry"]
    rate = stored.get("rate_limit")
    compression = stored.get("compression")
    return HttpParams(
        url=secret.get("url", stored["url"]),
        method=stored["method"],
        headers=tuple((name, value) for name, value in secret.get("headers", stored["headers"])),
        # The keys that are read with `get` are missing in calls of earlier versions.
        query=tuple((name, value) for name, value in secret.get("query", stored.get("query", ()))),
        body=Body(
            BodyKind(stored["body"]["kind"]),
            secret.get("content", stored["body"]["content"]),
            stored["body"]["content_type"],
        ),
        compression=None if compression is None else Compression(compression),
        redirects=stored.get("redirects", 0),
        timeout=stored["timeout"],
        connect_timeout=stored["connect_timeout"],
        retry=RetryPolicy(
            **{
                **retry,
                "strategy": RetryStrategy(retry["strategy"]),
                "schedule": tuple(retry["schedule"]),
            },
        ),
        status_actions=tuple(
            (status, StatusAction(action)) for status, action in stored["status_actions"]
        ),
        concurrency=stored["concurrency"],
        rate_limit=None if rate is None else RateLimit(rate["limit"], rate["period"]),
        ordered=stored.get("ordered", False),
        live=stored.get("live", False),
        tls=TlsOptions(
            ca=stored["tls"]["ca"],
            client_certificate=stored["tls"]["client_certificate"],
            client_key=secret.get("client_key", stored["tls"].get("client_key")),
            minimum_version=stored["tls"].get("minimum_version"),
        ),
        secrets=tuple(secret.get("secrets", ())),
    )
