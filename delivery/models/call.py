"""The HTTP call of a reaction or direct job."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from delivery.models.enums import BodyKind, Compression, RetryStrategy, StatusAction

__all__ = ["Body", "HttpParams", "RateLimit", "RetryPolicy", "TlsOptions"]


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a request: `content` is a JSON value, a flat mapping (form) or a text (raw)."""

    kind: BodyKind = BodyKind.PAYLOAD
    content: Any = field(default=None, repr=False)
    content_type: str | None = None
    """None: by kind (`application/json`, `application/x-www-form-urlencoded`, `text/plain`)."""


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """What is used beyond the system's trust store; certificates and keys are PEM texts."""

    ca: str | None = None
    """Certificates of private authorities, trusted instead of the system's."""
    client_certificate: str | None = None
    client_key: str | None = field(default=None, repr=False)
    minimum_version: str | None = None
    """The oldest version of TLS that is spoken, `1.2` or `1.3`; None: that of the settings."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed attempt is tried again; see `delivery.policy.retry` for the formula.

    With the defaults the delays are 10 s, 30 s, 90 s, 4.5 min, 13.5 min, 40.5 min, 2 h, 6 h and 6
    h, each varied by up to ±20 %: ten attempts within about fifteen hours.
    """

    max_attempts: int = 10
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL
    base: float = 10.0
    """Seconds before the second attempt."""
    factor: float = 3.0
    max: float = 21_600.0
    """No delay is longer than this many seconds, Retry-After included."""
    jitter: float = 0.2
    """A delay d is drawn evenly from d * (1 - jitter) to d * (1 + jitter)."""
    max_elapsed: float | None = None
    """No attempt starts later than this many seconds after the job was made."""
    schedule: tuple[float, ...] = ()
    """For the strategy `schedule`: the delays one by one; the last one repeats."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `limit` calls begin within any `period`, over all workers together."""

    limit: int
    period: float = 1.0
    """Seconds."""


@dataclass(frozen=True, slots=True)
class HttpParams:
    """The HTTP call of a reaction or direct job."""

    url: str
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    query: tuple[tuple[str, str], ...] = ()
    """Added to the URL's own query, in this order."""
    body: Body = Body()
    compression: Compression | None = None
    """How the body is sent; the signature is of what is sent."""
    redirects: int = 0
    """How many redirects are followed at most, up to 3; see `delivery.http.redirects`."""
    timeout: float | None = None
    """Seconds for the whole exchange, DNS to last byte; None: `http.timeout`."""
    connect_timeout: float | None = None
    """Seconds for DNS, TCP and TLS together; None: `http.connect_timeout`."""
    retry: RetryPolicy = RetryPolicy()
    status_actions: tuple[tuple[str, StatusAction], ...] = ()
    """Exceptions to the outcome rules: a status (`"404"`) or class (`"5xx"`), and what it means."""
    concurrency: int | None = None
    """Calls in flight at once, over all workers together; None: `worker.reaction_concurrency` in
    each process. Of a direct job: those of its tenant and origin in one process."""
    rate_limit: RateLimit | None = None
    """For reactions only; jobs over the limit wait, and use up no attempt by it."""
    ordered: bool = False
    """For reactions only: one call at a time, over all workers, in the order of the jobs; a job
    that failed holds up those behind it until it is terminal."""
    live: bool = False
    """For reactions only: jobs run with the reaction as it is when they run, not as it was when
    they were made."""
    tls: TlsOptions = TlsOptions()
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Signing secrets (`whsec_…`, `whsk_…`), newest first; each adds a signature. A reaction's are
    kept apart from its versions: see `Reaction.secrets`."""

    def __repr__(self) -> str:
        """As much as no secret stands in: no userinfo, no query, of headers only the names."""
        place = re.sub(r"//[^/]*@", "//", re.split(r"[?#]", self.url)[0])
        names = ", ".join(name for name, _ in self.headers)
        return f"HttpParams({self.method} {place}, headers=({names}), body={self.body.kind})"
