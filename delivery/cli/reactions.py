"""`delivery reactions`: what is to be done about triggers."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from delivery.cli.options import COMMON, TENANT, Common, Tenant, open_engine
from delivery.cli.reaction_options import CALL, Call, merged_tls
from delivery.cli.reaction_secrets import describe_signing, rotate_secret, show_secrets
from delivery.cli.render import Column, Output
from delivery.errors import InvalidInput
from delivery.models import (
    BodyKind,
    CircuitState,
    RateLimit,
    Reaction,
    ReactionHealth,
    TlsOptions,
)
from delivery.policy.retry import documented_delays
from delivery.rendering import to_json

__all__ = ["app"]

app = App(name="reactions", help="What is to be done about triggers.", help_epilogue="")

app.command(rotate_secret)
app.command(show_secrets, name="secrets")

_COLUMNS = (
    Column("ID"),
    Column("STATE"),
    Column("NAME", flexible=12),
    Column("EVENTS", rank=1, flexible=8),
    Column("URL", rank=2, flexible=20),
)


@app.command
async def create(
    *,
    name: Annotated[str, Parameter(help="What people call it.")],
    url: Annotated[str, Parameter(help="Where to call.")],
    call: Call = CALL,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """Make a reaction; triggers from now on lead to its call."""
    arguments = call.given()
    async with open_engine(common) as engine:
        reaction = await engine.reactions.create(name=name, url=url, tenant_id=tenant, **arguments)
    _print(common, reaction, arguments["secrets"][0] if call.generate_secret else None)


@app.command(name="list")
async def list_(
    *,
    state: Annotated[str | None, Parameter(help="enabled, disabled or deleted.")] = None,
    limit: Annotated[int, Parameter(help="At most this many, up to 200.")] = 50,
    cursor: Annotated[str | None, Parameter(help="Where the page before ended.")] = None,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """Show reactions in the order they were made."""
    async with open_engine(common) as engine:
        page = await engine.reactions.list(
            tenant_id=tenant, state=state, limit=limit, cursor=cursor
        )
    output = common.output
    if common.json:
        output.json(page)
        return
    rows = [
        (
            reaction.id,
            _state(reaction),
            reaction.name,
            " ".join(reaction.event_types),
            f"{reaction.params.method} {reaction.params.url}",
        )
        for reaction in page.items
    ]
    output.table(_COLUMNS, rows, "There are no reactions; make one with `reactions create`.")
    output.more(page.next_cursor)


@app.command
async def show(reaction_id: str, /, *, tenant: Tenant = TENANT, common: Common = COMMON) -> None:
    """Show one reaction."""
    async with open_engine(common) as engine:
        reaction = await engine.reactions.get(reaction_id, tenant_id=tenant)
    _print(common, reaction)


@app.command
async def update(
    reaction_id: str,
    /,
    *,
    name: Annotated[str | None, Parameter(help="What people call it.")] = None,
    url: Annotated[str | None, Parameter(help="Where to call.")] = None,
    call: Call = CALL,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """Change what is given and leave the rest.

    Jobs already made run as they were made, but keep to the new limits.
    """
    changes = call.given()
    if name is not None:
        changes["name"] = name
    if url is not None:
        changes["url"] = url
    if not changes:
        message = "nothing was given to change; see `delivery reactions update --help`"
        raise InvalidInput(message)
    # Receivers need time to take over one that was made just now: until then all sign.
    added = changes.pop("secrets") if call.generate_secret else ()
    async with open_engine(common) as engine:
        if "tls" in changes:
            current = await engine.reactions.get(reaction_id, tenant_id=tenant)
            changes["tls"] = merged_tls(changes["tls"], current.params.tls)
        if changes:
            await engine.reactions.update(reaction_id, tenant_id=tenant, **changes)
        for secret in reversed(added):
            await engine.reactions.rotate_secret(reaction_id, secret, None, tenant_id=tenant)
        reaction = await engine.reactions.get(reaction_id, tenant_id=tenant)
    _print(common, reaction, added[0] if added else None)
    if len(reaction.secrets) > len(added) > 0:
        common.output.note("The former secrets sign too; `reactions rotate-secret` ends them.")


@app.command
async def enable(reaction_id: str, /, *, tenant: Tenant = TENANT, common: Common = COMMON) -> None:
    """Let a reaction take part again, and forget that its endpoint was in trouble."""
    async with open_engine(common) as engine:
        _print(common, await engine.reactions.enable(reaction_id, tenant_id=tenant))


@app.command
async def disable(
    reaction_id: str,
    /,
    *,
    reason: Annotated[str | None, Parameter(help="Shown with the reaction.")] = None,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """Keep a reaction from taking part; its waiting jobs are skipped when their turn comes."""
    async with open_engine(common) as engine:
        reaction = await engine.reactions.disable(reaction_id, reason=reason, tenant_id=tenant)
    _print(common, reaction)


@app.command
async def reset(reaction_id: str, /, *, tenant: Tenant = TENANT, common: Common = COMMON) -> None:
    """Forget that the endpoint was in trouble: calls go on within seconds."""
    async with open_engine(common) as engine:
        _print(common, await engine.reactions.reset(reaction_id, tenant_id=tenant))


@app.command
async def delete(reaction_id: str, /, *, tenant: Tenant = TENANT, common: Common = COMMON) -> None:
    """Delete a reaction; its waiting jobs are skipped, its records stay."""
    async with open_engine(common) as engine:
        await engine.reactions.delete(reaction_id, tenant_id=tenant)
    if common.json:
        common.output.json({"id": reaction_id, "deleted": True})
    else:
        common.output.line(f"deleted {reaction_id}")


def _print(common: Common, reaction: Reaction, made: str | None = None) -> None:
    """Show a reaction, and the signing secret that was made for it."""
    output = common.output
    if common.json:
        output.json(to_json(reaction) | ({} if made is None else {"secret": made}))
        return
    _show(output, reaction)
    if made is not None:
        output.details({"secret": made})
        output.note("Keep the secret: it is not shown again.")


def _show(output: Output, reaction: Reaction) -> None:
    params = reaction.params
    retry = params.retry
    delays = documented_delays(retry)
    shown = ", ".join(f"{delay:g}" for delay in delays[:5])
    more = ", …" if len(delays) > 5 else ""  # noqa: PLR2004 - enough to see how they grow
    output.details(
        {
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
            "version": reaction.version,
            "created": reaction.created_at,
            "updated": reaction.updated_at,
        }
    )


def _state(reaction: Reaction) -> str:
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
    return None if seconds is None else f"{seconds:g} s"


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
    return None if rate is None else f"{rate.limit} in {rate.period:g} s"
