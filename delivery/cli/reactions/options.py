"""The options of `delivery reactions create` and `update`."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from delivery.cli.secret_input import SECRET_HELP, read_secret, read_secrets
from delivery.errors import InvalidInput
from delivery.spelling import closest

if TYPE_CHECKING:
    from delivery.models import RetryPolicy, TlsOptions

__all__ = ["CALL", "Call", "merged_retry", "merged_tls"]

_WORDS: Final = ("payload", "envelope", "none")
"""Bodies that need no content."""
_LONGEST_WORD: Final = 20
_NONE = "none"
"""Takes a limit away."""


@Parameter(name="*")
@dataclass(frozen=True)
class Call:
    """The options of a reaction and its call."""

    event_type: Annotated[
        tuple[str, ...],
        Parameter(
            metavar="TYPE",
            help="Exact type, `order.*`, or `*` for all (the default); repeatable.",
        ),
    ] = ()
    condition: Annotated[
        str | None,
        Parameter(help="JMESPath expression over the payload; matches where it is truthy."),
    ] = None
    method: Annotated[
        str | None, Parameter(help="DELETE, GET, HEAD, OPTIONS, PATCH, POST or PUT; default POST.")
    ] = None
    header: Annotated[
        tuple[str, ...],
        Parameter(metavar="LINE", help="`Name: value`, or `Name: @FILE`; repeatable."),
    ] = ()
    query: Annotated[
        tuple[str, ...],
        Parameter(metavar="PAIR", help="`name=value`, added to the URL; repeatable."),
    ] = ()
    body: Annotated[
        str | None,
        Parameter(help='payload, envelope or none; or JSON, such as `{"kind": "form", …}`.'),
    ] = None
    compression: Annotated[
        str | None, Parameter(help="Compress the body by gzip; none: do not.")
    ] = None
    secret: Annotated[
        tuple[str, ...],
        Parameter(
            metavar="WHSEC",
            allow_leading_hyphen=True,
            help=f"Secret to sign with, newest first; repeatable. {SECRET_HELP}",
        ),
    ] = ()
    generate_secret: Annotated[
        bool, Parameter(help="Generate a signing secret and show it once.")
    ] = False
    redirects: Annotated[
        int | None, Parameter(help="Follow at most this many redirects, 0 to 3; default 0.")
    ] = None
    timeout: Annotated[float | None, Parameter(help="Seconds for the whole exchange.")] = None
    connect_timeout: Annotated[float | None, Parameter(help="Seconds of these for connecting.")] = (
        None
    )
    retry: Annotated[
        str | None,
        Parameter(help='The retry policy as JSON, such as `{"max_attempts": 5, "base": 2}`.'),
    ] = None
    max_attempts: Annotated[int | None, Parameter(help="Attempts in all, the first included.")] = (
        None
    )
    retry_strategy: Annotated[
        str | None,
        Parameter(help="How delays grow: constant, linear, exponential or schedule."),
    ] = None
    retry_base: Annotated[float | None, Parameter(help="Seconds before the second attempt.")] = None
    retry_factor: Annotated[
        float | None, Parameter(help="How many times longer each delay is than the last.")
    ] = None
    retry_max: Annotated[float | None, Parameter(help="Seconds that no delay exceeds.")] = None
    retry_schedule: Annotated[
        str | None,
        Parameter(metavar="SECONDS", help="The delays one by one, such as `10,60,600`."),
    ] = None
    status_action: Annotated[
        tuple[str, ...],
        Parameter(metavar="RULE", help="`404=fail`, `5xx=retry`, `409=succeed`; repeatable."),
    ] = ()
    concurrency: Annotated[
        str | None,
        Parameter(metavar="INT", help="Calls at once, over all workers together; none: no limit."),
    ] = None
    rate_limit: Annotated[
        str | None,
        Parameter(
            metavar="RATE", help="`100/s`, `10/min`, `5/10s`, over all workers; none: no limit."
        ),
    ] = None
    ordered: Annotated[
        bool | None,
        Parameter(
            negative="--not-ordered",
            help="One call at a time; a failed job holds up those behind it.",
        ),
    ] = None
    live: Annotated[
        bool | None,
        Parameter(
            negative="--not-live",
            help="Jobs use the reaction as it is when they run, not when they were created.",
        ),
    ] = None
    priority: Annotated[int | None, Parameter(help="Lower first; 0 to 32767.")] = None
    area: Annotated[str | None, Parameter(help="Automation that the reaction belongs to.")] = None
    metadata: Annotated[
        tuple[str, ...],
        Parameter(
            metavar="PAIR",
            help="`key=value` for your own use; repeatable; none: remove all.",
        ),
    ] = ()
    tls_ca: Annotated[
        Path | None, Parameter(help="PEM file of private certificate authorities.")
    ] = None
    tls_certificate: Annotated[
        Path | None, Parameter(help="PEM file of the client certificate.")
    ] = None
    tls_key: Annotated[Path | None, Parameter(help="PEM file of its private key.")] = None
    tls_minimum_version: Annotated[
        str | None,
        Parameter(metavar="VERSION", help="Oldest version of TLS to accept: 1.2 or 1.3."),
    ] = None

    async def given(self) -> dict[str, Any]:
        """Return the arguments of `reactions.create` for the options that were given.

        Raises:
            InvalidInput: if one cannot be read.
        """
        from delivery.message.signing import generate_secret

        secrets = await read_secrets("--secret", self.secret)
        if self.generate_secret:
            secrets = (generate_secret(), *secrets)
        arguments = {
            "event_types": self.event_type,
            "condition": self.condition,
            "method": self.method,
            "headers": [await _header(header) for header in self.header],
            "query": [_pair("--query", pair, "=") for pair in self.query],
            "body": _body(self.body),
            "compression": self.compression,
            "secrets": secrets,
            "redirects": self.redirects,
            "timeout": self.timeout,
            "connect_timeout": self.connect_timeout,
            "retry": self._retry(),
            "status_actions": dict(
                _pair("--status-action", each, "=") for each in self.status_action
            ),
            "concurrency": _concurrency(self.concurrency),
            "rate_limit": self.rate_limit,
            "ordered": self.ordered,
            "live": self.live,
            "priority": self.priority,
            "area_id": self.area,
            "metadata": _metadata(self.metadata),
            "tls": self._tls(),
        }
        given: dict[str, Any] = {
            name: value
            for name, value in arguments.items()
            if value is not None and value not in ((), [], {})
        }
        if self.metadata == (_NONE,):
            given["metadata"] = {}
        if self.concurrency == _NONE:
            given["concurrency"] = None
        if self.compression == _NONE:
            given["compression"] = None
        return given

    def _retry(self) -> dict[str, Any] | None:
        """Return the retry policy of --retry with the changes of the other options."""
        named = {
            "max_attempts": self.max_attempts,
            "strategy": self.retry_strategy,
            "base": self.retry_base,
            "factor": self.retry_factor,
            "max": self.retry_max,
            "schedule": None if self.retry_schedule is None else _delays(self.retry_schedule),
        }
        policy = {} if self.retry is None else _object("--retry", self.retry)
        policy |= {name: value for name, value in named.items() if value is not None}
        if "schedule" in policy and "strategy" not in policy:
            policy["strategy"] = "schedule"
        return None if self.retry is None and not policy else policy

    def _tls(self) -> "TlsOptions | None":
        from delivery.models import TlsOptions

        files = (self.tls_ca, self.tls_certificate, self.tls_key)
        if files == (None, None, None) and self.tls_minimum_version is None:
            return None
        ca, certificate, key = (None if file is None else _text(file) for file in files)
        return TlsOptions(ca, certificate, key, self.tls_minimum_version)


CALL = Call()


def _metadata(pairs: tuple[str, ...]) -> dict[str, str]:
    return {} if pairs == (_NONE,) else dict(_pair("--metadata", each, "=") for each in pairs)


def merged_tls(given: "TlsOptions", current: "TlsOptions") -> "TlsOptions":
    """Return the current options with those that were given; a redacted key stays as it is."""
    from dataclasses import fields, replace

    named = {each.name: getattr(given, each.name) for each in fields(given)}
    changed = {name: value for name, value in named.items() if value is not None}
    return replace(current, **changed)


def merged_retry(given: dict[str, Any], current: "RetryPolicy") -> dict[str, Any]:
    """Return the current policy with the fields that were given."""
    from dataclasses import asdict

    merged = asdict(current) | given
    if merged["strategy"] != "schedule":
        # Another strategy replaces a schedule.
        del merged["schedule"]
    return merged


def _delays(text: str) -> list[float]:
    try:
        return [float(each) for each in text.split(",")]
    except ValueError:
        message = f"--retry-schedule is {text!r}, but must be seconds such as 10,60,600"
        raise InvalidInput(message) from None


async def _header(line: str) -> tuple[str, str]:
    """Return name and value of a header; a value `@FILE` is read from the file."""
    name, value = _pair("--header", line, ":")
    if value.startswith("@") and len(value) > 1:
        return name, await read_secret(f"--header {name}", value) or ""
    return name, value


def _concurrency(text: str | None) -> int | None:
    if text is None or text == _NONE:
        return None
    try:
        return int(text)
    except ValueError:
        message = f"--concurrency is {text!r}, but must be a whole number, or none"
        raise InvalidInput(message) from None


def _pair(option: str, text: str, separator: str) -> tuple[str, str]:
    name, found, value = text.partition(separator)
    if not found:
        # What was given is not repeated: it may be a secret.
        message = f"one {option} has no {separator!r} between name and value"
        raise InvalidInput(message)
    return name.strip(), value.strip()


def _body(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    if text.lstrip().startswith("{"):
        return _object("--body", text)
    if text not in _WORDS:
        # Something long is content in the wrong place, and may be a secret.
        shown = repr(text) if len(text) <= _LONGEST_WORD else "a long text"
        near = closest(text, _WORDS)
        meant = f"; did you mean {near}?" if near else ""
        message = (
            f"--body is {shown}, but must be {', '.join(_WORDS)}, or JSON such as"
            f' {{"kind": "json", "content": …}}{meant}'
        )
        raise InvalidInput(message)
    return {"kind": text}


def _object(option: str, text: str) -> dict[str, Any]:
    try:
        # Not by orjson: it would round integers of more than 64 bits.
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        message = f"{option} is not JSON: {error}"
        raise InvalidInput(message) from None
    if not isinstance(value, dict):
        message = f"{option} must be a JSON object"
        raise InvalidInput(message)
    return value


def _text(file: Path) -> str:
    if "-----" in str(file):
        message = "give the file of a certificate or key, not what is in it"
        raise InvalidInput(message)
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        message = f"{file}: cannot be read: {reason}"
        raise InvalidInput(message) from error
