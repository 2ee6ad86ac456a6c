"""Every setting: its section, name, type, range, default and meaning."""

from __future__ import annotations

import base64
import binascii
import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from delivery.models import RetryPolicy, RetryStrategy
from delivery.settings.database_url import parse_database_url
from delivery.settings.endpoint_health import HealthSettings
from delivery.settings.redaction import RedactionSettings
from delivery.settings.section import (
    Field,
    InvalidValues,
    SecretStr,
    Section,
    field_validator,
    model_validator,
)
from delivery.settings.values import Problem
from delivery.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "SECTIONS",
    "DatabaseSettings",
    "HttpSettings",
    "LimitSettings",
    "LogSettings",
    "PartitionSettings",
    "RetrySettings",
    "SecretSettings",
    "Settings",
    "WorkerSettings",
    "default_user_agent",
]

_DAY = 86_400.0
_KEY_BYTES = 32


def default_user_agent() -> str:
    """Return `delivery/` and the version."""
    return f"delivery/{VERSION}"


class DatabaseSettings(Section):
    """Connection to the database."""

    url: str | None = Field(default=None, repr=False)
    """PostgreSQL to use, as `postgresql://user:password@host:5432/database`, with percent-encoded
    special characters in user and password; if unset, the embedded PostgreSQL starts in
    `embedded_directory`."""
    pool_size: Annotated[int, Field(ge=2, le=100)] = 8
    """Maximum number of connections per process."""
    connect_timeout: Annotated[float, Field(gt=0, le=300)] = 5.0
    """Seconds to wait for a connection."""
    statement_timeout: Annotated[float, Field(ge=0.1, le=3_600)] = 30.0
    """Seconds to wait for the response to a statement, and for a free connection of the pool. A
    connection without a response is closed. Heartbeats only wait for a part of
    `worker.dead_after`."""
    statement_cache_size: Annotated[int, Field(ge=0, le=100_000)] = 1024
    """Prepared statements cached per connection. Set 0 if a PgBouncer older than 1.21 in
    transaction mode is in between, because it does not support them."""
    embedded_directory: Path | None = None
    """Directory of the embedded PostgreSQL. Default: `delivery/postgres` in the user's data
    directory (for root `/var/lib/delivery/postgres`)."""

    @field_validator("url")
    @classmethod
    def _can_be_used(cls, value: str | None) -> str | None:
        if value is not None:
            parse_database_url(value)
        return value


class WorkerSettings(Section):
    """Claiming, concurrency and liveness of worker processes."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Concurrent calls per process. Calls that last longer than a second are counted separately."""
    processes: Annotated[int, Field(ge=1, le=256)] = 1
    """Number of processes of `delivery worker`, to use more than one core. Limits apply to each
    process."""
    slow_concurrency: Annotated[int, Field(ge=0, le=100_000)] = 1_000
    """Concurrent calls that last longer than a second, in addition to `concurrency`, so that a
    hanging endpoint does not block the calls to other endpoints."""
    reaction_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Concurrent calls per process and reaction, for reactions without a `concurrency` option. The
    actual number is lower while an endpoint does not respond."""
    batch_size: Annotated[int, Field(ge=1, le=5_000)] = 200
    """Maximum number of jobs claimed, or results written, in one statement."""
    poll_min: Annotated[float, Field(ge=0.001, le=60)] = 0.05
    """Shortest interval between two polls for due jobs."""
    poll_max: Annotated[float, Field(ge=0.001, le=60)] = 1.0
    """Longest interval between two polls, reached after a while without due jobs."""
    notifications: bool = True
    """Wake workers by NOTIFY before the next poll. Turn it off for a PgBouncer in transaction mode;
    polling is sufficient."""
    heartbeat_interval: Annotated[float, Field(ge=0.05, le=300)] = 3.0
    """Interval between two heartbeats of a process."""
    dead_after: Annotated[float, Field(ge=0.1, le=3_600)] = 12.0
    """Time without a heartbeat after which other workers take over the jobs of a process; at least
    twice the interval."""
    shutdown_timeout: Annotated[float, Field(ge=0, le=3_600)] = 20.0
    """Time for running calls to finish when the process stops."""
    max_unsettled: Annotated[int, Field(ge=1, le=1_000_000)] = 5_000
    """Maximum number of results not yet written to the database; above it, no jobs are claimed."""
    max_stalls: Annotated[int, Field(ge=1, le=100)] = 3
    """Number of workers that can die during a job before the job fails."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.poll_min > self.poll_max:
            message = f"poll_min ({self.poll_min}) must not exceed poll_max ({self.poll_max})"
            raise ValueError(message)
        if self.dead_after < 2 * self.heartbeat_interval:
            message = (
                f"dead_after ({self.dead_after}) must be at least twice heartbeat_interval"
                f" ({self.heartbeat_interval}): one late heartbeat is not a death"
            )
            raise ValueError(message)
        return self


class HttpSettings(Section):
    """HTTP calls and the addresses that they can reach."""

    transport: Literal["native", "httpx"] = "native"
    """`native` is faster, `httpx` is the transport of httpx. Both connect to checked addresses
    only."""
    timeout: Annotated[float, Field(gt=0, le=3_600)] = 15.0
    """Seconds for a whole exchange, from name resolution to the last byte of the response."""
    connect_timeout: Annotated[float, Field(gt=0, le=3_600)] = 5.0
    """Seconds for name resolution, TCP and TLS, as a part of `timeout`."""
    keepalive: Annotated[float, Field(ge=0, le=3_600)] = 15.0
    """Seconds before an idle connection is closed."""
    connections_per_origin: Annotated[int, Field(ge=1, le=10_000)] = 250
    """Maximum number of connections to one scheme, host and port. Further calls wait, and reactions
    take turns. An eighth is reserved for reactions without a connection."""
    max_response_head: Annotated[int, Field(ge=1_024, le=1_048_576)] = 65_536
    """Maximum size of status line and headers, in bytes. A larger response is a failure."""
    max_response_body: Annotated[int, Field(ge=0, le=67_108_864)] = 65_536
    """Maximum number of body bytes to read, before and after decompression. The rest is not
    read."""
    tls_minimum_version: Literal["1.2", "1.3"] = "1.2"
    """Oldest accepted version of TLS, `1.2` or `1.3`, for reactions that do not set one."""
    user_agent: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default_factory=default_user_agent,
    )
    """User-Agent header of every call. Default: `delivery/` and the version."""
    allowed_networks: tuple[str, ...] = ()
    """Private networks that calls can reach, such as `127.0.0.0/8`."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that calls can reach at any address."""
    allowed_ports: tuple[Annotated[int, Field(ge=1, le=65_535)], ...] | None = None
    """Ports that calls can reach. Default: all."""
    require_https: bool = False
    """Refuse http:// in the URLs of reactions and direct jobs, and in redirects."""

    @field_validator("allowed_networks")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value

    @field_validator("user_agent")
    @classmethod
    def _fits_a_header(cls, value: str) -> str:
        if not (value.isascii() and value.isprintable()):
            message = "must be printable ASCII"
            raise ValueError(message)
        return value


class LogSettings(Section):
    """Delivery logs, and the log messages of the program itself."""

    max_body: Annotated[int, Field(ge=0, le=1_048_576)] = 16_384
    """Maximum size of a request or response body in a delivery log, in bytes."""
    max_head: Annotated[int, Field(ge=1_024, le=1_048_576)] = 16_384
    """Maximum size of the headers of a request or response in a delivery log, in bytes, redirects
    included. A note gives the number of omitted bytes."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum log level of the program's own messages."""
    format: Literal["text", "json"] = "text"
    """`text` for people, `json` (one object per line) for programs."""


class RetrySettings(Section):
    """Default retry policy of reactions and direct jobs."""

    max_attempts: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Maximum number of attempts, including the first."""
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL
    """`constant`, `linear`, `exponential` or `schedule`."""
    base: Annotated[float, Field(ge=0, le=30 * _DAY)] = 10.0
    """Seconds before the second attempt."""
    factor: Annotated[float, Field(ge=1, le=100)] = 3.0
    """Factor between two successive delays (`exponential`)."""
    max: Annotated[float, Field(ge=0, le=30 * _DAY)] = 21_600.0
    """Longest delay, in seconds."""
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Random variation: a delay d is drawn evenly from d * (1 - jitter) to d * (1 + jitter)."""
    max_elapsed: Annotated[float, Field(gt=0, le=365 * _DAY)] | None = None
    """Seconds after the creation of a job from which no attempt starts. Default: no limit."""
    schedule: tuple[Annotated[float, Field(ge=0, le=30 * _DAY)], ...] = ()
    """List of delays; the last one repeats (`schedule`)."""

    @model_validator(mode="after")
    def _has_its_schedule(self) -> Self:
        if self.strategy is RetryStrategy.SCHEDULE and not self.schedule:
            message = 'strategy "schedule" needs a schedule, for instance [10, 60, 600]'
            raise ValueError(message)
        return self

    def policy(self) -> RetryPolicy:
        """Return the settings as a `RetryPolicy`."""
        return RetryPolicy(**{name: getattr(self, name) for name in type(self).model_fields})


class LimitSettings(Section):
    """Limits on the input of callers."""

    max_payload_bytes: Annotated[int, Field(ge=1, le=67_108_864)] = 262_144
    """Maximum size of the payload of a trigger or direct job, in bytes."""
    max_event_type_length: Annotated[int, Field(ge=1, le=1_000)] = 200
    """Maximum number of characters of an event type."""


class PartitionSettings(Section):
    """Daily partitions of the record tables."""

    days_ahead: Annotated[int, Field(ge=1, le=60)] = 7
    """Days for which partitions are created in advance."""


class SecretSettings(Section):
    """Encryption of stored secrets."""

    keys: tuple[SecretStr, ...] = ()
    """Keys of 32 bytes in URL-safe base64, as `delivery secrets generate-key` prints them. The
    first key encrypts, all keys decrypt. Without keys, secrets are stored in plain text, except in
    the embedded database, which generates a key in `secrets.key` in its directory."""

    @field_validator("keys")
    @classmethod
    def _are_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for number, key in enumerate(value, start=1):
            try:
                length = len(base64.b64decode(key.get_secret_value(), b"-_", validate=True))
            except (binascii.Error, ValueError):
                length = 0
            if length != _KEY_BYTES:
                message = (
                    f"key {number} is not {_KEY_BYTES} bytes of URL-safe base64; make one with"
                    " `delivery secrets generate-key`"
                )
                raise ValueError(message)
        return value

    def texts(self) -> tuple[str, ...]:
        """Return the plain keys."""
        return tuple(key.get_secret_value() for key in self.keys)


class Settings(Section):
    """All settings.

    `Settings()` has the defaults, independent of files and environment. `load_settings` reads these
    sources.
    """

    database: DatabaseSettings = DatabaseSettings()
    worker: WorkerSettings = WorkerSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    retry: RetrySettings = RetrySettings()
    health: HealthSettings = HealthSettings()
    redaction: RedactionSettings = RedactionSettings()
    limits: LimitSettings = LimitSettings()
    partitions: PartitionSettings = PartitionSettings()
    secrets: SecretSettings = SecretSettings()

    def __init__(self, **sections: Any) -> None:
        problems: dict[str, Problem] = {}
        for name in sections.keys() - self.model_fields:
            problems[name] = Problem("unknown section")
        for name, field in self.model_fields.items():
            given = sections.get(name)
            if given is None:
                given = field.get_default()
            elif not isinstance(given, Section):
                try:
                    given = type(field.get_default())(**given)
                except InvalidValues as error:
                    problems |= {
                        f"{name}.{key}" if key else name: problem
                        for key, problem in error.problems.items()
                    }
            vars(self)[name] = given
        if problems:
            raise InvalidValues(problems)
        vars(self).update(_given=frozenset(sections), _origins={})

    def origin(self, section: str, key: str) -> str:
        """Return the source of a value: `default`, or a file, environment variable or argument."""
        origins: Mapping[tuple[str, str], str] = vars(self)["_origins"]
        return origins.get((section, key), "default")

    def with_origins(self, origins: Mapping[tuple[str, str], str]) -> Self:
        """Return a copy with the source of each value."""
        copy = self.model_copy()
        vars(copy)["_origins"] = dict(origins)
        return copy

    def with_key(self, key: str) -> Self:
        """Return a copy with an additional key, which encrypts if it is the only one."""
        if key in self.secrets.texts():
            return self
        keys = (*self.secrets.keys, SecretStr(key))
        return self.model_copy(update={"secrets": SecretSettings(keys=keys)})


SECTIONS: Final[Mapping[str, type[Section]]] = {
    name: type(field.get_default()) for name, field in Settings.model_fields.items()
}
"""Sections by name."""
