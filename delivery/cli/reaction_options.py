"""What the commands of `delivery reactions` let be said of a reaction and its call."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from delivery.errors import InvalidInput
from delivery.message.signing import generate_secret
from delivery.models import BodyKind, TlsOptions

__all__ = ["CALL", "Call", "merged_tls"]

_NONE = "none"
"""Takes a limit away."""


@Parameter(name="*")
@dataclass(frozen=True)
class Call:
    """What can be said of a reaction and its call."""

    event_type: Annotated[
        tuple[str, ...],
        Parameter(
            metavar="TYPE",
            help="Exact name, `order.*`, or `*` for all (the default); may be repeated.",
        ),
    ] = ()
    condition: Annotated[
        str | None, Parameter(help="JMESPath over the payload; matches where truthy.")
    ] = None
    method: Annotated[str | None, Parameter(help="GET to DELETE; default POST.")] = None
    header: Annotated[
        tuple[str, ...], Parameter(metavar="LINE", help="`Name: value`; may be repeated.")
    ] = ()
    query: Annotated[
        tuple[str, ...],
        Parameter(metavar="PAIR", help="`name=value`, added to the URL; may be repeated."),
    ] = ()
    body: Annotated[
        str | None,
        Parameter(help='payload, envelope or none, or JSON such as `{"kind": "form", …}`.'),
    ] = None
    compression: Annotated[str | None, Parameter(help="gzip, to compress the body; or none.")] = (
        None
    )
    secret: Annotated[
        tuple[str, ...],
        Parameter(metavar="WHSEC", help="To sign with (or `whsk_`), newest first; repeatable."),
    ] = ()
    generate_secret: Annotated[
        bool, Parameter(help="Make a signing secret and show it, this once.")
    ] = False
    redirects: Annotated[
        int | None, Parameter(help="Redirects to follow at most, 0 to 3; default 0.")
    ] = None
    timeout: Annotated[float | None, Parameter(help="Seconds for the whole exchange.")] = None
    connect_timeout: Annotated[float | None, Parameter(help="Seconds of these to connect.")] = None
    retry: Annotated[
        str | None,
        Parameter(help='JSON such as `{"max_attempts": 5, "base": 2}`.'),
    ] = None
    status_action: Annotated[
        tuple[str, ...],
        Parameter(metavar="RULE", help="`404=fail`, `5xx=retry`, `409=succeed`; may be repeated."),
    ] = ()
    concurrency: Annotated[
        str | None,
        Parameter(metavar="INT", help="Calls at once, over all workers together; or none."),
    ] = None
    rate_limit: Annotated[
        str | None,
        Parameter(metavar="RATE", help="`100/s`, `10/min`, `5/10s`, or none; over all workers."),
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
            help="Jobs run with the reaction as it is then, not as it was when they were made.",
        ),
    ] = None
    priority: Annotated[int | None, Parameter(help="Lower first; 0 to 32767.")] = None
    area: Annotated[str | None, Parameter(help="The automation it belongs to.")] = None
    tls_ca: Annotated[Path | None, Parameter(help="PEM file of private authorities.")] = None
    tls_certificate: Annotated[Path | None, Parameter(help="PEM file of our own.")] = None
    tls_key: Annotated[Path | None, Parameter(help="PEM file of its key.")] = None
    tls_minimum_version: Annotated[
        str | None, Parameter(metavar="VERSION", help="Oldest version of TLS spoken: 1.2 or 1.3.")
    ] = None

    def given(self) -> dict[str, Any]:
        """The arguments of `reactions.create` for the options that were given.

        Raises:
            InvalidInput: if one cannot be read.
        """
        secrets = (*((generate_secret(),) if self.generate_secret else ()), *self.secret)
        arguments = {
            "event_types": self.event_type,
            "condition": self.condition,
            "method": self.method,
            "headers": [_pair("--header", header, ":") for header in self.header],
            "query": [_pair("--query", pair, "=") for pair in self.query],
            "body": _body(self.body),
            "compression": self.compression,
            "secrets": secrets,
            "redirects": self.redirects,
            "timeout": self.timeout,
            "connect_timeout": self.connect_timeout,
            "retry": None if self.retry is None else _object("--retry", self.retry),
            "status_actions": dict(
                _pair("--status-action", each, "=") for each in self.status_action
            ),
            "concurrency": _concurrency(self.concurrency),
            "rate_limit": self.rate_limit,
            "ordered": self.ordered,
            "live": self.live,
            "priority": self.priority,
            "area_id": self.area,
            "tls": self._tls(),
        }
        given: dict[str, Any] = {
            name: value
            for name, value in arguments.items()
            if value is not None and value not in ((), [], {})
        }
        if self.concurrency == _NONE:
            given["concurrency"] = None
        if self.compression == _NONE:
            given["compression"] = None
        return given

    def _tls(self) -> TlsOptions | None:
        files = (self.tls_ca, self.tls_certificate, self.tls_key)
        if files == (None, None, None) and self.tls_minimum_version is None:
            return None
        ca, certificate, key = (None if file is None else _text(file) for file in files)
        return TlsOptions(ca, certificate, key, self.tls_minimum_version)


CALL = Call()


def merged_tls(given: TlsOptions, current: TlsOptions) -> TlsOptions:
    """The current options with those that were given; its concealed key stays what it is."""
    named = {each.name: getattr(given, each.name) for each in fields(given)}
    changed = {name: value for name, value in named.items() if value is not None}
    return replace(current, **changed)


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
    return {"kind": text} if text in set(BodyKind) else _object("--body", text)


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
