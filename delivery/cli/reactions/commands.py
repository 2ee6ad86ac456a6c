"""`delivery reactions`: manage webhook endpoints."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from delivery.cli.layout import Column
from delivery.cli.options import COMMON, TENANT, Common, Tenant, open_engine
from delivery.cli.reactions.options import CALL, Call, merged_retry, merged_tls
from delivery.cli.reactions.secrets import ReactionId, rotate_secret, show_secrets
from delivery.errors import InvalidInput

if TYPE_CHECKING:
    from delivery.models import Reaction

__all__ = ["app"]

app = App(
    name="reactions",
    help="Manage reactions (webhook endpoints).",
    help_epilogue="",
)

app.command(rotate_secret)
app.command(show_secrets, name="secrets")

_COLUMNS = (
    Column("ID", tail=12),
    Column("STATE"),
    Column("NAME", flexible=12),
    Column("EVENTS", rank=1, flexible=8),
    Column("URL", rank=2, flexible=20),
)


@app.command
async def create(
    *,
    name: Annotated[str, Parameter(help="Display name of the reaction.")],
    url: Annotated[str, Parameter(help="URL to call.")],
    call: Call = CALL,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """Create a reaction; it applies to later triggers."""
    arguments = await call.given()
    async with open_engine(common) as engine:
        reaction = await engine.reactions.create(name=name, url=url, tenant_id=tenant, **arguments)
    print_reaction(common, reaction, arguments["secrets"][0] if call.generate_secret else None)


@app.command(name="list")
async def list_(
    *,
    state: Annotated[
        str | None, Parameter(help="Show only this state: enabled, disabled or deleted.")
    ] = None,
    limit: Annotated[int, Parameter(help="Maximum number of rows, up to 200.")] = 50,
    cursor: Annotated[
        str | None, Parameter(help="Resume after this page: the cursor it printed.")
    ] = None,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """List reactions, oldest first."""
    async with open_engine(common) as engine:
        page = await engine.reactions.list(
            tenant_id=tenant, state=state, limit=limit, cursor=cursor
        )
    output = common.output
    if common.json:
        output.json(page)
        return
    from delivery.cli.reactions.details import state_of

    rows = [
        (
            reaction.id,
            state_of(reaction),
            reaction.name,
            " ".join(reaction.event_types),
            f"{reaction.params.method} {reaction.params.url}",
        )
        for reaction in page.items
    ]
    output.table(_COLUMNS, rows, "No reactions found; create one with `delivery reactions create`.")
    output.more(page.next_cursor)


@app.command
async def show(
    reaction_id: ReactionId, /, *, tenant: Tenant = TENANT, common: Common = COMMON
) -> None:
    """Show one reaction."""
    async with open_engine(common) as engine:
        key = await engine.ids.find("reaction", reaction_id, tenant_id=tenant)
        reaction = await engine.reactions.get(key, tenant_id=tenant)
    print_reaction(common, reaction)


@app.command
async def update(
    reaction_id: ReactionId,
    /,
    *,
    name: Annotated[str | None, Parameter(help="Display name of the reaction.")] = None,
    url: Annotated[str | None, Parameter(help="URL to call.")] = None,
    call: Call = CALL,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """Update the given fields of a reaction.

    Existing jobs send their original request under the new limits.
    """
    changes = await call.given()
    if name is not None:
        changes["name"] = name
    if url is not None:
        changes["url"] = url
    if not changes:
        message = "no changes given; see `delivery reactions update --help`"
        raise InvalidInput(message)
    # Receivers need time to install a new secret, so the previous ones remain active.
    added = changes.pop("secrets") if call.generate_secret else ()
    async with open_engine(common) as engine:
        key = await engine.ids.find("reaction", reaction_id, tenant_id=tenant)
        if not {"tls", "retry"}.isdisjoint(changes):
            current = await engine.reactions.get(key, tenant_id=tenant)
            if "tls" in changes:
                changes["tls"] = merged_tls(changes["tls"], current.params.tls)
            if "retry" in changes and call.retry is None:
                changes["retry"] = merged_retry(changes["retry"], current.params.retry)
        if changes:
            await engine.reactions.update(key, tenant_id=tenant, **changes)
        for secret in reversed(added):
            await engine.reactions.rotate_secret(key, secret, None, tenant_id=tenant)
        reaction = await engine.reactions.get(key, tenant_id=tenant)
    print_reaction(common, reaction, added[0] if added else None)
    if len(reaction.secrets) > len(added) > 0:
        common.output.note(
            "The previous secrets remain active; end them with `reactions rotate-secret`."
        )


@app.command
async def enable(
    reaction_id: ReactionId, /, *, tenant: Tenant = TENANT, common: Common = COMMON
) -> None:
    """Enable a reaction, and reset its circuit breaker."""
    async with open_engine(common) as engine:
        key = await engine.ids.find("reaction", reaction_id, tenant_id=tenant)
        reaction = await engine.reactions.enable(key, tenant_id=tenant)
    print_reaction(common, reaction)


@app.command
async def disable(
    reaction_id: ReactionId,
    /,
    *,
    reason: Annotated[str | None, Parameter(help="Reason to display with the reaction.")] = None,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """Disable a reaction; workers skip its waiting jobs."""
    async with open_engine(common) as engine:
        key = await engine.ids.find("reaction", reaction_id, tenant_id=tenant)
        reaction = await engine.reactions.disable(key, reason=reason, tenant_id=tenant)
    print_reaction(common, reaction)


@app.command
async def reset(
    reaction_id: ReactionId, /, *, tenant: Tenant = TENANT, common: Common = COMMON
) -> None:
    """Reset the circuit breaker; requests resume within seconds."""
    async with open_engine(common) as engine:
        key = await engine.ids.find("reaction", reaction_id, tenant_id=tenant)
        reaction = await engine.reactions.reset(key, tenant_id=tenant)
    print_reaction(common, reaction)


@app.command
async def delete(
    reaction_id: ReactionId, /, *, tenant: Tenant = TENANT, common: Common = COMMON
) -> None:
    """Delete a reaction; workers skip its waiting jobs, and its records remain."""
    async with open_engine(common) as engine:
        key = await engine.ids.find("reaction", reaction_id, tenant_id=tenant)
        await engine.reactions.delete(key, tenant_id=tenant)
    if common.json:
        common.output.json({"id": key, "deleted": True})
    else:
        common.output.line(f"deleted {key}")


def print_reaction(common: Common, reaction: "Reaction", made: str | None = None) -> None:
    """Print a reaction and its new signing secret."""
    from delivery.cli.reactions.details import details_of
    from delivery.rendering import to_json

    output = common.output
    if common.json:
        output.json(to_json(reaction) | ({} if made is None else {"secret": made}))
        return
    output.details(details_of(reaction) | {"secret": made})
    if made is not None:
        output.note("Save this secret now: later output omits it.")
