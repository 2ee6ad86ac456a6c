"""A reaction as people read it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from delivery.cli.reactions.secrets import describe_signing
from delivery.models import BodyKind, CircuitState
from delivery.policy.retry import documented_delays
from delivery.wording import plain_number

if TYPE_CHECKING:
    from delivery.models import RateLimit, Reaction, ReactionHealth, TlsOptions

__all__ = ["details_of", "state_of"]


def details_of(reaction: Reaction) -> dict[str, Any]:
    """Return what people read about a reaction, by name."""
    params = reaction.params
    retry = params.retry
    delays = documented_delays(retry)
    shown = ", ".join(plain_number(delay) for delay in delays[:5])
    more = ", …" if len(delays) > 5 else ""  # noqa: PLR2004 - enough to see how they grow
    return {
        "id": reaction.id,
        "name": reaction.name,
        "state": reaction.state,
        "reason": reaction.state_reason,
        "circuit": _circuit(reaction.health),
        "events": " ".join(reaction.event_types),
        "condition": reaction.condition,
        "call": f"{params.method} {params.url}",
        "area": reaction.area_id,
        "query": " ".join(f"{name}={value}" for name, value in params.query) or None,
        "headers": "; ".join(f"{name}: {value}" for name, value in params.headers) or None,
        "body": params.body.kind if params.body.kind is not BodyKind.PAYLOAD else None,
        "compressed": params.compression,
        "signed": describe_signing(reaction),
        "public key": " ".join(each.public_key for each in reaction.secrets if each.public_key)
        or None,
        "attempts": f"{retry.max_attempts}, after {shown}{more} s" if delays else "1",
        "statuses": " ".join(f"{status}={meant}" for status, meant in params.status_actions)
        or None,
        "timeout": _seconds(params.timeout),
        "connect timeout": _seconds(params.connect_timeout),
        "redirects": params.redirects or None,
        "tls": _tls(params.tls),
        "concurrency": params.concurrency,
        "rate limit": _rate(params.rate_limit),
        "ordered": "yes" if params.ordered else None,
        "live": "yes" if params.live else None,
        "priority": reaction.priority,
        "metadata": " ".join(f"{key}={value}" for key, value in reaction.metadata.items()) or None,
        "version": reaction.version,
        "created": reaction.created_at,
        "updated": reaction.updated_at,
    }


def state_of(reaction: Reaction) -> str:
    """Return a reaction's state, with its circuit and its pause."""
    if reaction.health.circuit is CircuitState.CLOSED:
        paused = reaction.health.paused_until
        is_paused = paused is not None and paused > datetime.now(UTC)
        return f"{reaction.state} (paused)" if is_paused else str(reaction.state)
    return f"{reaction.state} ({str(reaction.health.circuit).replace('_', '-')})"


def _circuit(health: ReactionHealth) -> str | None:
    if not health.failures and health.paused_until is None:
        return None
    told = [str(health.circuit).replace("_", "-")]
    if health.failures:
        calls = "1 call has" if health.failures == 1 else f"{health.failures} calls in a row have"
        told.append(f"{calls} failed since {health.failing_since:%Y-%m-%d %H:%M:%S} UTC")
    if health.paused_until is not None:
        told.append(f"no calls before {health.paused_until:%Y-%m-%d %H:%M:%S} UTC")
    return "; ".join(told)


def _seconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{plain_number(seconds)} s"


def _tls(tls: TlsOptions) -> str | None:
    told = []
    if tls.minimum_version is not None:
        told.append(f"{tls.minimum_version} or later")
    if tls.ca is not None:
        told.append("private authorities")
    if tls.client_certificate is not None:
        told.append("client certificate")
    return ", ".join(told) or None


def _rate(rate: RateLimit | None) -> str | None:
    return None if rate is None else f"{rate.limit} in {plain_number(rate.period)} s"
