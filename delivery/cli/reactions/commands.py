"""`delivery reactions`: what is to be done about triggers."""

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
    help="Create, change and show reactions: which events lead to which call.",
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
    name: Annotated[str, Parameter(help="Name of the reaction, for people.")],
    url: Annotated[str, Parameter(help="URL to call.")],
    call: Call = CALL,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """Create a reaction: triggers from now on lead to its call."""
    arguments = await call.given()
    async with open_engine(common) as engine:
        reaction = await engine.reactions.create(name=name, url=url, tenant_id=tenant, **arguments)
    print_reaction(common, reaction, arguments["secrets"][0] if call.generate_secret else None)


@app.command(name="list")
async def list_(
    *,
    state: Annotated[
        str | None, Parameter(help="Show only those that are enabled, disabled or deleted.")
    ] = None,
    limit: Annotated[int, Parameter(help="Show at most this many, up to 200.")] = 50,
    cursor: Annotated[str | None, Parameter(help="Go on after the page that gave this.")] = None,
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
    output.table(
        _COLUMNS, rows, "There are no reactions; create one with `delivery reactions create`."
    )
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
    name: Annotated[str | None, Parameter(help="Name of the reaction, for people.")] = None,
    url: Annotated[str | None, Parameter(help="URL to call.")] = None,
    call: Call = CALL,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """Change the given fields, and keep the others.

    Existing jobs keep their request, but follow the new limits.
    """
    changes = await call.given()
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
        common.output.note("The former secrets sign too; `reactions rotate-secret` ends them.")


@app.command
async def enable(
    reaction_id: ReactionId, /, *, tenant: Tenant = TENANT, common: Common = COMMON
) -> None:
    """Enable a reaction again, and forget the failures of its endpoint."""
    async with open_engine(common) as engine:
        key = await engine.ids.find("reaction", reaction_id, tenant_id=tenant)
        reaction = await engine.reactions.enable(key, tenant_id=tenant)
    print_reaction(common, reaction)


@app.command
async def disable(
    reaction_id: ReactionId,
    /,
    *,
    reason: Annotated[str | None, Parameter(help="Why; shown with the reaction.")] = None,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """Disable a reaction; its waiting jobs are skipped when their turn comes."""
    async with open_engine(common) as engine:
        key = await engine.ids.find("reaction", reaction_id, tenant_id=tenant)
        reaction = await engine.reactions.disable(key, reason=reason, tenant_id=tenant)
    print_reaction(common, reaction)


@app.command
async def reset(
    reaction_id: ReactionId, /, *, tenant: Tenant = TENANT, common: Common = COMMON
) -> None:
    """Forget the failures of the endpoint: calls go on within seconds."""
    async with open_engine(common) as engine:
        key = await engine.ids.find("reaction", reaction_id, tenant_id=tenant)
        reaction = await engine.reactions.reset(key, tenant_id=tenant)
    print_reaction(common, reaction)


@app.command
async def delete(
    reaction_id: ReactionId, /, *, tenant: Tenant = TENANT, common: Common = COMMON
) -> None:
    """Delete a reaction; its waiting jobs are skipped, and its records stay."""
    async with open_engine(common) as engine:
        key = await engine.ids.find("reaction", reaction_id, tenant_id=tenant)
        await engine.reactions.delete(key, tenant_id=tenant)
    if common.json:
        common.output.json({"id": key, "deleted": True})
    else:
        common.output.line(f"deleted {key}")


def print_reaction(common: Common, reaction: "Reaction", made: str | None = None) -> None:
    """Show a reaction, and the signing secret that was made for it."""
    from delivery.cli.reactions.details import details_of
    from delivery.rendering import to_json

    output = common.output
    if common.json:
        output.json(to_json(reaction) | ({} if made is None else {"secret": made}))
        return
    output.details(details_of(reaction) | {"secret": made})
    if made is not None:
        output.note("Keep the secret: it is not shown again.")
