"""How a call is stored: one JSON text of what may be shown, and one, sealed, of what is secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from delivery.message.redaction.calls import conceal, hidden_parts, refuse_marks
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
    from delivery.message.storage.encryption import Sealer

__all__ = [
    "StoredCall",
    "decode_params",
    "encode_params",
    "encode_shown",
    "same_request",
    "shown_params",
]

_NOTHING: Final = "{}"
"""The credentials of a call in which nothing is secret; not worth sealing."""

_NOT_SENT: Final = frozenset({"retry", "concurrency", "rate_limit", "ordered", "live"})
"""Keys of a stored call that do not affect the request."""


class StoredCall(NamedTuple):
    """A call as it is stored."""

    params: str
    """JSON of the parts that may be shown. No statement reads values from it."""
    credentials: str
    """Sealed JSON of the parts that are concealed in `params`; `{}` if none is."""


def encode_params(params: HttpParams, sealer: Sealer) -> StoredCall:
    """The call as it is stored.

    Raises:
        InvalidReaction: if `***` stands in it where something secret belongs.
    """
    refuse_marks(params)
    shown = conceal(params)
    real, visible = hidden_parts(params), hidden_parts(shown)
    hidden = {part: value for part, value in real.items() if value != visible[part]}
    credentials = sealer.seal(orjson.dumps(hidden)) if hidden else _NOTHING
    return StoredCall(encode_shown(shown), credentials)


def encode_shown(params: HttpParams) -> str:
    """The JSON of a call in which everything secret is concealed."""
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


def decode_params(call: StoredCall, sealer: Sealer) -> HttpParams:
    """The call that `encode_params` stored.

    Raises:
        MissingKey: if it was sealed with a key that the sealer does not have.
        KeyError, TypeError, ValueError: if the texts are not what `encode_params` writes.
    """
    if call.credentials == _NOTHING:
        return _decoded(call.params, {})
    return _decoded(call.params, orjson.loads(sealer.open(call.credentials)))


def shown_params(call: StoredCall) -> HttpParams:
    """The call with `***` for what is secret in it; that needs no key.

    Raises:
        KeyError, TypeError, ValueError: if the texts are not what `encode_params` writes.
    """
    # What was stored by an earlier version is concealed only now.
    sealed = not call.credentials.startswith("{")
    return conceal(_decoded(call.params, {} if sealed else orjson.loads(call.credentials)))


def same_request(one: StoredCall, other: StoredCall) -> bool:
    """Whether two stored calls send the same, whenever and however often they do.

    Texts that cannot be read are the same only if they are equal.
    """
    if one.credentials != other.credentials:
        return False
    try:
        return _what_is_sent(one.params) == _what_is_sent(other.params)
    except (TypeError, ValueError):
        return one.params == other.params


def _what_is_sent(params: str) -> dict[str, Any]:
    stored = dict(orjson.loads(params))
    return {key: value for key, value in stored.items() if key not in _NOT_SENT}


def _decoded(shown: str, hidden: dict[str, Any]) -> HttpParams:
    stored: dict[str, Any] = orjson.loads(shown)
    retry = stored["retry"]
    rate = stored.get("rate_limit")
    compression = stored.get("compression")
    return HttpParams(
        url=hidden.get("url", stored["url"]),
        method=stored["method"],
        headers=tuple((name, value) for name, value in hidden.get("headers", stored["headers"])),
        # What is read with `get` is missing in what earlier versions stored.
        query=tuple((name, value) for name, value in hidden.get("query", stored.get("query", ()))),
        body=Body(
            BodyKind(stored["body"]["kind"]),
            hidden.get("content", stored["body"]["content"]),
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
            client_key=hidden.get("client_key", stored["tls"].get("client_key")),
            minimum_version=stored["tls"].get("minimum_version"),
        ),
        secrets=tuple(hidden.get("secrets", ())),
    )
