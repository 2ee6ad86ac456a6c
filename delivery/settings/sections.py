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
    """`delivery/` and the version."""
    return f"delivery/{VERSION}"


class DatabaseSettings(Section):
    """Where the engine keeps everything."""

    url: str | None = Field(default=None, repr=False)
    """PostgreSQL to use, as `postgresql://user:password@host:5432/database`, with special
    characters of user and password percent-encoded; none: the embedded PostgreSQL is started in
    `embedded_directory`."""
    pool_size: Annotated[int, Field(ge=2, le=100)] = 8
    """Connections a process opens at most."""
    connect_timeout: Annotated[float, Field(gt=0, le=300)] = 5.0
    """Seconds to wait for a connection."""
    statement_timeout: Annotated[float, Field(ge=0.1, le=3_600)] = 30.0
    """Seconds to wait for the response to a statement, and for a free connection of the pool. A
    connection without a response is closed. Heartbeats wait for a part of `worker.dead_after`
    only."""
    statement_cache_size: Annotated[int, Field(ge=0, le=100_000)] = 1024
    """Prepared statements kept per connection; 0 behind a PgBouncer older than 1.21 in transaction
    mode, which cannot keep them."""
    embedded_directory: Path | None = None
    """Directory of the embedded PostgreSQL; none: `delivery/postgres` in the user's data directory
    (for root `/var/lib/delivery/postgres`)."""

    @field_validator("url")
    @classmethod
    def _can_be_used(cls, value: str | None) -> str | None:
        if value is not None:
            parse_database_url(value)
        return value


class WorkerSettings(Section):
    """How a worker process takes jobs and makes their calls."""

    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Calls in flight at once in this process; those that last longer than a second are counted
    apart."""
    processes: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes of `delivery worker`, each with limits of its own, to use more than one core."""
    slow_concurrency: Annotated[int, Field(ge=0, le=100_000)] = 1_000
    """Calls that last longer than a second, in flight at once beyond `concurrency`: what hangs
    holds a socket, not another endpoint's place."""
    reaction_concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Calls in flight at once in this process for one reaction that sets no `concurrency` of its
    own; fewer while its endpoint does not answer."""
    batch_size: Annotated[int, Field(ge=1, le=5_000)] = 200
    """Jobs claimed, and results written, in one statement at most."""
    poll_min: Annotated[float, Field(ge=0.001, le=60)] = 0.05
    """Shortest pause between two looks for due jobs."""
    poll_max: Annotated[float, Field(ge=0.001, le=60)] = 1.0
    """Longest such pause; reached when nothing has been due for a while."""
    notifications: bool = True
    """Let PostgreSQL's NOTIFY wake the worker before its pause is over. Off behind PgBouncer in
    transaction mode; polling alone is enough."""
    heartbeat_interval: Annotated[float, Field(ge=0.05, le=300)] = 3.0
    """How often the process says that it lives."""
    dead_after: Annotated[float, Field(ge=0.1, le=3_600)] = 12.0
    """Silence after which others take over a process's jobs; at least twice the interval."""
    shutdown_timeout: Annotated[float, Field(ge=0, le=3_600)] = 20.0
    """Time for calls in flight to end when the process is told to stop."""
    max_unsettled: Annotated[int, Field(ge=1, le=1_000_000)] = 5_000
    """Finished calls not yet written to the database, above which no job is claimed."""
    max_stalls: Annotated[int, Field(ge=1, le=100)] = 3
    """Workers that may die with a job in hand before the job is given up."""

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
    """How calls are made, and which addresses may be called."""

    transport: Literal["native", "httpx"] = "native"
    """`native` is quick, `httpx` is httpx's own; both connect to checked addresses only."""
    timeout: Annotated[float, Field(gt=0, le=3_600)] = 15.0
    """Seconds for a whole exchange, from name resolution to the answer's last byte."""
    connect_timeout: Annotated[float, Field(gt=0, le=3_600)] = 5.0
    """Seconds of these for name resolution, TCP and TLS."""
    keepalive: Annotated[float, Field(ge=0, le=3_600)] = 15.0
    """Seconds an idle connection is kept for the next call."""
    connections_per_origin: Annotated[int, Field(ge=1, le=10_000)] = 250
    """Connections open at once to one scheme, host and port; more calls wait, and reactions take
    turns. An eighth is kept for reactions that have none."""
    max_response_head: Annotated[int, Field(ge=1_024, le=1_048_576)] = 65_536
    """Bytes of status line and headers, above which an answer is a failure."""
    max_response_body: Annotated[int, Field(ge=0, le=67_108_864)] = 65_536
    """Bytes read of an answer's body, counted before and after decompression; the rest is left
    unread."""
    tls_minimum_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that is spoken where a reaction names none: `1.2` or `1.3`."""
    user_agent: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        default_factory=default_user_agent,
    )
    """The User-Agent header of every call; by default `delivery/` and the version."""
    allowed_networks: tuple[str, ...] = ()
    """Networks that may be called though they are not public, such as `127.0.0.0/8`."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that may be called whatever their addresses are."""
    allowed_ports: tuple[Annotated[int, Field(ge=1, le=65_535)], ...] | None = None
    """Ports that may be called; none: all."""
    require_https: bool = False
    """Refuse http:// in the urls of reactions and direct jobs, and in redirects."""

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
    """What is kept of every exchange, and how the program itself logs."""

    max_body: Annotated[int, Field(ge=0, le=1_048_576)] = 16_384
    """Bytes of a request's or response's body kept in a delivery log."""
    max_head: Annotated[int, Field(ge=1_024, le=1_048_576)] = 16_384
    """Bytes of a request's or response's headers kept in a delivery log, those of redirects
    included; a note says how many are left out."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least grave of the program's own messages that are printed."""
    format: Literal["text", "json"] = "text"
    """`text` for people, `json` with one object a line for programs."""


class RetrySettings(Section):
    """The retry policy of reactions and direct jobs that give none."""

    max_attempts: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Attempts altogether, the first included."""
    strategy: RetryStrategy = RetryStrategy.EXPONENTIAL
    """`constant`, `linear`, `exponential` or `schedule`."""
    base: Annotated[float, Field(ge=0, le=30 * _DAY)] = 10.0
    """Seconds before the second attempt."""
    factor: Annotated[float, Field(ge=1, le=100)] = 3.0
    """How many times longer each delay is than the one before (`exponential`)."""
    max: Annotated[float, Field(ge=0, le=30 * _DAY)] = 21_600.0
    """No delay is longer than this many seconds."""
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.2
    """A delay d is drawn evenly from d * (1 - jitter) to d * (1 + jitter)."""
    max_elapsed: Annotated[float, Field(gt=0, le=365 * _DAY)] | None = None
    """No attempt starts later than this many seconds after the job was made; none: no bound."""
    schedule: tuple[Annotated[float, Field(ge=0, le=30 * _DAY)], ...] = ()
    """The delays one by one, the last repeating (`schedule`)."""

    @model_validator(mode="after")
    def _has_its_schedule(self) -> Self:
        if self.strategy is RetryStrategy.SCHEDULE and not self.schedule:
            message = 'strategy "schedule" needs a schedule, for instance [10, 60, 600]'
            raise ValueError(message)
        return self

    def policy(self) -> RetryPolicy:
        """The same as a `RetryPolicy`."""
        return RetryPolicy(**{name: getattr(self, name) for name in type(self).model_fields})


class LimitSettings(Section):
    """How large what callers hand in may be."""

    max_payload_bytes: Annotated[int, Field(ge=1, le=67_108_864)] = 262_144
    """Bytes of a trigger's or direct job's payload."""
    max_event_type_length: Annotated[int, Field(ge=1, le=1_000)] = 200
    """Characters of an event type."""


class PartitionSettings(Section):
    """The daily partitions that records are kept in."""

    days_ahead: Annotated[int, Field(ge=1, le=60)] = 7
    """Days for which partitions are made in advance."""


class SecretSettings(Section):
    """With what secrets are sealed before they are stored."""

    keys: tuple[SecretStr, ...] = ()
    """Keys of 32 bytes in URL-safe base64, as `delivery secrets generate-key` makes them. The first
    seals, all open. None: secrets are stored as they are, but in the embedded database, which has a
    key of its own in `secrets.key`, in its directory."""

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
        """The keys as they are."""
        return tuple(key.get_secret_value() for key in self.keys)


class Settings(Section):
    """Everything that can be configured.

    `Settings()` by itself is the defaults, whatever files and environment say; `load_settings`
    reads those.
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
            problems[name] = Problem("there is no such section")
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
        """Who set it: `default`, or the file, environment variable or argument by name."""
        origins: Mapping[tuple[str, str], str] = vars(self)["_origins"]
        return origins.get((section, key), "default")

    def with_origins(self, origins: Mapping[tuple[str, str], str]) -> Self:
        """The same settings, remembering who set what."""
        copy = self.model_copy()
        vars(copy)["_origins"] = dict(origins)
        return copy

    def with_key(self, key: str) -> Self:
        """The same settings, with another key that opens, and seals if it is the only one."""
        if key in self.secrets.texts():
            return self
        keys = (*self.secrets.keys, SecretStr(key))
        return self.model_copy(update={"secrets": SecretSettings(keys=keys)})


SECTIONS: Final[Mapping[str, type[Section]]] = {
    name: type(field.get_default()) for name, field in Settings.model_fields.items()
}
"""The sections by name."""
