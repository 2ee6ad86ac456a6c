"""How `HttpParams` is stored: one JSON text for what may be shown, one for the credentials."""

from __future__ import annotations

from typing import Any

import orjson

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

__all__ = ["decode_params", "encode_params"]


def encode_params(params: HttpParams) -> tuple[str, str]:
    """The JSON texts of the call without its credentials, and of the credentials alone."""
    retry = params.retry
    shown = {
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
            "minimum_version": params.tls.minimum_version,
        },
    }
    credentials = {"secrets": params.secrets, "client_key": params.tls.client_key}
    return orjson.dumps(shown).decode(), orjson.dumps(credentials).decode()


def decode_params(shown: str, credentials: str) -> HttpParams:
    """The call that `encode_params` stored.

    Raises:
        KeyError, TypeError, ValueError: if the texts are not what `encode_params` writes.
    """
    stored: dict[str, Any] = orjson.loads(shown)
    hidden: dict[str, Any] = orjson.loads(credentials)
    retry = stored["retry"]
    rate = stored.get("rate_limit")
    compression = stored.get("compression")
    return HttpParams(
        url=stored["url"],
        method=stored["method"],
        headers=tuple((name, value) for name, value in stored["headers"]),
        # What is read with `get` is missing in what earlier versions stored.
        query=tuple((name, value) for name, value in stored.get("query", ())),
        body=Body(
            BodyKind(stored["body"]["kind"]),
            stored["body"]["content"],
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
            client_key=hidden["client_key"],
            minimum_version=stored["tls"].get("minimum_version"),
        ),
        secrets=tuple(hidden["secrets"]),
    )
