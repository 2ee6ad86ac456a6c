"""Conversion of the options of `reactions.create` and `jobs.create` to `HttpParams`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import get_annotations, signature
from typing import TYPE_CHECKING, Any, Final, TypedDict

from delivery.errors import InvalidReaction, InvalidSecret
from delivery.http.tls.contexts import check_tls
from delivery.http.transport_choice import guard_for
from delivery.message.redaction.calls import restore, restore_tls
from delivery.message.request.url import parse_url
from delivery.message.request.validation import validate_params
from delivery.message.template.filling import plain_url
from delivery.models import (
    Body,
    BodyKind,
    Compression,
    HttpParams,
    RateLimit,
    RetryPolicy,
    StatusAction,
    TlsOptions,
)
from delivery.policy.lane_limits import build_rate_limit
from delivery.policy.retry import policy_from_mapping, validate_policy
from delivery.spelling import did_you_mean

if TYPE_CHECKING:
    from delivery.settings import HttpSettings

__all__ = ["CallOptions", "build_params", "changed_params", "check_known"]

_NO_OPTIONS: Final = frozenset({"self", "call", "changes"})
"""Parameters of verbs that are not options."""


class CallOptions(TypedDict, total=False):
    """Options of an HTTP call. Only the URL is required."""

    url: str
    method: str
    headers: Mapping[str, str] | Sequence[tuple[str, str]] | None
    query: Mapping[str, str] | Sequence[tuple[str, str]] | None
    body: Body | Mapping[str, Any] | None
    compression: Compression | str | None
    redirects: int
    secret: str | None
    """One signing secret; equivalent to `secrets=(secret,)`."""
    secrets: Sequence[str]
    timeout: float | None
    connect_timeout: float | None
    retry: RetryPolicy | Mapping[str, Any] | None
    status_actions: Mapping[str, str] | None
    concurrency: int | None
    rate_limit: RateLimit | Mapping[str, Any] | str | None
    """Rate limit, or a string such as `100/s`, `10/min`, `5/10s`."""
    ordered: bool
    live: bool
    tls: TlsOptions | None


def build_params(
    options: CallOptions,
    default_retry: RetryPolicy,
    settings: HttpSettings,
    verb: Callable[..., object],
) -> HttpParams:
    """Check the options and build the call.

    Args:
        options: Options of the call.
        default_retry: Default retry policy.
        settings: Allowed addresses.
        verb: Method that received the options, whose arguments are suggested too.

    Raises:
        InvalidReaction: If the URL, method, headers, body, limits or certificates are invalid, or
            the URL contains a forbidden address.
        InvalidSecret: If a signing secret is malformed.
    """
    check_known(options, verb)
    if "url" not in options:
        message = "url is required"
        raise InvalidReaction(message)
    params = validate_params(
        HttpParams(
            url=options["url"],
            method=_method(options.get("method", "POST")),
            headers=_pairs("headers", options.get("headers")),
            query=_pairs("query", options.get("query")),
            body=_body(options.get("body")),
            compression=_compression(options.get("compression")),
            redirects=options.get("redirects", 0),
            timeout=options.get("timeout"),
            connect_timeout=options.get("connect_timeout"),
            retry=_retry(options.get("retry"), default_retry),
            status_actions=_status_actions(options.get("status_actions")),
            concurrency=options.get("concurrency"),
            rate_limit=build_rate_limit(options.get("rate_limit")),
            ordered=options.get("ordered", False),
            live=options.get("live", False),
            tls=_tls(options.get("tls")),
            secrets=_secrets(options.get("secret"), options.get("secrets", ())),
        )
    )
    endpoint, _ = parse_url(plain_url(params.url), tls=params.tls)
    guard_for(settings).check(endpoint)
    check_tls(params.tls)
    return params


def changed_params(
    params: HttpParams,
    changes: Mapping[str, Any],
    default_retry: RetryPolicy,
    settings: HttpSettings,
    verb: Callable[..., object],
) -> HttpParams:
    """Return a call with the changed options, checked as a whole.

    `***` for a redacted value leaves it unchanged. If no option changes, the call is not checked
    again.

    Raises:
        InvalidReaction, InvalidSecret: See `build_params`.
    """
    given = {key: value for key, value in changes.items() if key in CallOptions.__annotations__}
    if not given:
        return params
    options: CallOptions = {
        "url": params.url,
        "method": params.method,
        "headers": params.headers,
        "query": params.query,
        "body": params.body,
        "compression": params.compression,
        "redirects": params.redirects,
        "timeout": params.timeout,
        "connect_timeout": params.connect_timeout,
        "retry": params.retry,
        "status_actions": dict(params.status_actions),
        "concurrency": params.concurrency,
        "rate_limit": params.rate_limit,
        "ordered": params.ordered,
        "live": params.live,
        "tls": params.tls,
    }
    options.update(given)  # type: ignore[typeddict-item]
    tls = options["tls"]
    if isinstance(tls, TlsOptions):
        options["tls"] = restore_tls(tls, params.tls)
    return restore(build_params(options, default_retry, settings, verb), params)


def check_known(options: Mapping[str, object], *known: type | Callable[..., object]) -> None:
    """Reject an unknown option, which Python accepts as part of `**call`.

    Args:
        options: Keyword arguments.
        known: Typed dictionaries with options as keys, and verbs with options as arguments.

    Raises:
        InvalidReaction: With the unknown option and a suggestion.
    """
    names = {
        name: None
        for each in (*known, CallOptions)
        for name in (
            get_annotations(each) if isinstance(each, type) else signature(each).parameters
        )
        if name not in _NO_OPTIONS
    }
    for name in options:
        if name not in names:
            message = f"unknown option {name!r}{did_you_mean(name, names)}"
            raise InvalidReaction(message)


def _pairs(
    option: str, given: Mapping[str, str] | Sequence[tuple[str, str]] | None
) -> tuple[tuple[str, str], ...]:
    if given is None:
        return ()
    pairs = given.items() if isinstance(given, Mapping) else given
    try:
        return tuple((name, value) for name, value in pairs)
    except (TypeError, ValueError):
        # The message omits the value, which may be a secret.
        message = f"{option} must be a mapping, or a list of pairs of name and value"
        raise InvalidReaction(message) from None


def _method(given: object) -> str:
    if not isinstance(given, str):
        message = f"method is a {type(given).__name__}, but must be a string such as POST"
        raise InvalidReaction(message)
    return given.upper()


def _tls(given: object) -> TlsOptions:
    if given is None:
        return TlsOptions()
    if not isinstance(given, TlsOptions):
        message = f"tls is a {type(given).__name__}; give delivery.TlsOptions(ca=…)"
        raise InvalidReaction(message)
    return given


def _body(given: object) -> Body:
    if given is None:
        return Body()
    if isinstance(given, Body):
        return given
    if not isinstance(given, Mapping):
        message = f"body is a {type(given).__name__}; give a mapping such as {{'kind': 'envelope'}}"
        raise InvalidReaction(message)
    known = ("kind", "content", "content_type")
    unknown = [key for key in given if key not in known]
    if unknown:
        message = f"body has the unknown key {unknown[0]!r}{did_you_mean(unknown[0], known)}"
        raise InvalidReaction(message)
    try:
        kind = BodyKind(given.get("kind", BodyKind.PAYLOAD))
    except ValueError:
        unknown_kind = given.get("kind")
        message = f"body kind {unknown_kind!r} is unknown{did_you_mean(unknown_kind, BodyKind)}"
        raise InvalidReaction(message) from None
    return Body(kind, given.get("content"), given.get("content_type"))


def _compression(given: Compression | str | None) -> Compression | None:
    if given is None:
        return None
    try:
        return Compression(given)
    except ValueError:
        message = f"compression is {given!r}, but must be {' or '.join(Compression)}, or None"
        raise InvalidReaction(message) from None


def _retry(given: object, default: RetryPolicy) -> RetryPolicy:
    if given is None:
        return default
    if isinstance(given, RetryPolicy):
        return validate_policy(given)
    if not isinstance(given, Mapping):
        message = f"retry is a {type(given).__name__}; give a mapping such as {{'max_attempts': 5}}"
        raise InvalidReaction(message)
    return policy_from_mapping(given, default)


def _status_actions(given: object) -> tuple[tuple[str, StatusAction], ...]:
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        kind = type(given).__name__
        message = f"status_actions is a {kind}; give a mapping such as {{'404': 'fail'}}"
        raise InvalidReaction(message)
    try:
        return tuple((str(status), StatusAction(action)) for status, action in given.items())
    except ValueError as error:
        message = f"status_actions: {error}; known are {', '.join(StatusAction)}"
        raise InvalidReaction(message) from None


def _secrets(one: object, several: object) -> tuple[str, ...]:
    if one is not None and several:
        message = "give either secret or secrets, not both"
        raise InvalidReaction(message)
    given = several if one is None else (one,)
    if not isinstance(given, (list, tuple)) or not all(isinstance(each, str) for each in given):
        message = "secret must be a string, and secrets a list of strings"
        raise InvalidSecret(message)
    return tuple(given)
