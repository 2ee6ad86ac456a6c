"""HTTP call of a reaction or direct job."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from delivery.models.enums import BodyKind, Compression, RetryStrategy, StatusAction

__all__ = ["Body", "HttpParams", "RateLimit", "RetryPolicy", "TlsOptions"]


@dataclass(frozen=True, slots=True)
class Body:
    """Body of a request. `content` is a JSON value, a flat mapping (form) or a string (raw)."""

    kind: BodyKind = BodyKind.PAYLOAD
    content: Any = field(default=None, repr=False)
    content_type: str | None = None
    """Defaults to `application/json`, `application/x-www-form-urlencoded` or `text/plain`, by
    kind."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """TLS options of a call. Certificates and keys are strings in PEM format."""

    ca: str | None = None
    """Certificates of private authorities, which replace the system's."""
    client_certificate: str | None = None
    client_key: str | None = field(default=None, repr=False)
    minimum_version: str | None = None
    """Minimum version of TLS, `1.2` or `1.3`. Defaults to the setting."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays and limits of retries; see `delivery.policy.retry` for the formula.

    The default delays are 10 s, 30 s, 90 s, 4.5 min, 13.5 min, 40.5 min, 2 h, 6 h and 6 h, each
    varied by up to ±20 %: ten attempts within about 15 hours.
    """

    max_attempts: int = 10
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL
    base: float = 10.0
    """Seconds before the second attempt."""
    factor: float = 3.0
    max: float = 21_600.0
    """Maximum delay in seconds, including Retry-After."""
    jitter: float = 0.2
    """Variation: a delay d is drawn uniformly from d * (1 - jitter) to d * (1 + jitter)."""
    max_elapsed: float | None = None
    """Maximum seconds between the creation of the job and the start of its last attempt."""
    schedule: tuple[float, ...] = ()
    """Delays for the strategy `schedule`. The last one repeats."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Maximum number of calls that begin within any period, for all workers together."""

    limit: int
    period: float = 1.0
    """Length in seconds."""


@dataclass(frozen=True, slots=True)
class HttpParams:
    """HTTP call of a reaction or direct job."""

    url: str
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    """Parameters added to the query of the URL, in this order."""
    body: Body = Body()
    compression: Compression | None = None
    """Compression of the body. The signature is computed after compression."""
    redirects: int = 0
    """Maximum number of redirects, from 0 to 3; see `delivery.http.redirects`."""
    timeout: float | None = None
    """Maximum seconds of the exchange, from DNS to the last byte. Defaults to `http.timeout`."""
    connect_timeout: float | None = None
    """Maximum seconds of DNS, TCP and TLS together. Defaults to `http.connect_timeout`."""
    retry: RetryPolicy = RetryPolicy()
    status_actions: tuple[tuple[str, StatusAction], ...] = ()
    """Overrides of the outcome rules: a status (`"404"`) or class (`"5xx"`), and its action."""
    concurrency: int | None = None
    """Maximum number of concurrent calls, for all workers together. Defaults to
    `worker.reaction_concurrency` in each process. For a direct job: maximum number of concurrent
    calls of its tenant to its origin, in one process."""
    rate_limit: RateLimit | None = None
    """For reactions only. Jobs above the limit wait, without using up attempts."""
    ordered: bool = False
    """For reactions only: one call at a time, for all workers together, in the order of the jobs. A
    failed job blocks later jobs until it is terminal."""
    live: bool = False
    """For reactions only: jobs use the version of the reaction at the time of the call, not at the
    creation of the job."""
    tls: TlsOptions = TlsOptions()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Signing secrets (`whsec_…`, `whsk_…`), newest first. Each adds a signature. The secrets of a
    reaction are stored separately from its versions: see `Reaction.secrets`."""

    def __repr__(self) -> str:
        """Return a representation without userinfo, query and values of headers, for secrecy."""
        url = re.sub(r"//[^/]*@", "//", re.split(r"[?#]", self.url)[0])
        names = ", ".join(name for name, _ in self.headers)
        return f"HttpParams({self.method} {url}, headers=({names}), body={self.body.kind})"
