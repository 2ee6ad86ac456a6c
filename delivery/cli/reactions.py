"""`delivery reactions`: what is to be done about triggers."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
from cyclopts import App, Parameter

from delivery.cli.options import COMMON, TENANT, Common, Tenant, open_engine
from delivery.cli.render import Column, Output
from delivery.errors import InvalidInput
from delivery.message.signing import generate_secret
from delivery.models import BodyKind, RateLimit, Reaction, ReactionState, TlsOptions
from delivery.policy.retry import documented_delays
from delivery.rendering import to_json

__all__ = ["app"]

app = App(name="reactions", help="What is to be done about triggers.", help_epilogue="")

_NONE = "none"
"""Takes a limit away."""

_COLUMNS = (
    Column("ID"),
    Column("STATE"),
    Column("NAME", flexible=12),
    Column("EVENTS", rank=1, flexible=8),
    Column("URL", rank=2, flexible=20),
)


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
    body: Annotated[
        str | None,
        Parameter(help='payload, envelope or none, or JSON such as `{"kind": "form", …}`.'),
    ] = None
    secret: Annotated[
        tuple[str, ...],
        Parameter(metavar="WHSEC", help="To sign with, newest first; may be repeated."),
    ] = ()
    generate_secret: Annotated[
        bool, Parameter(help="Make a signing secret and show it, this once.")
    ] = False
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
    priority: Annotated[int | None, Parameter(help="Lower first; 0 to 32767.")] = None
    area: Annotated[str | None, Parameter(help="The automation it belongs to.")] = None
    tls_ca: Annotated[Path | None, Parameter(help="PEM file of private authorities.")] = None
    tls_certificate: Annotated[Path | None, Parameter(help="PEM file of our own.")] = None
    tls_key: Annotated[Path | None, Parameter(help="PEM file of its key.")] = None

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
            "body": _body(self.body),
            "secrets": secrets,
            "timeout": self.timeout,
            "connect_timeout": self.connect_timeout,
            "retry": None if self.retry is None else _object("--retry", self.retry),
            "status_actions": dict(
                _pair("--status-action", each, "=") for each in self.status_action
            ),
            "concurrency": _concurrency(self.concurrency),
            "rate_limit": self.rate_limit,
            "ordered": self.ordered,
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
        return given

    def _tls(self) -> TlsOptions | None:
        files = (self.tls_ca, self.tls_certificate, self.tls_key)
        if files == (None, None, None):
            return None
        return TlsOptions(*(None if file is None else _text(file) for file in files))


CALL = Call()


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
            reaction.state,
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
    made = changes["secrets"][0] if call.generate_secret else None
    async with open_engine(common) as engine:
        if made is not None:
            # Receivers need time to take over the new one: until then both sign.
            current = await engine.reactions.get(reaction_id, tenant_id=tenant)
            changes["secrets"] = (*changes["secrets"], *current.params.secrets)
        reaction = await engine.reactions.update(reaction_id, tenant_id=tenant, **changes)
    _print(common, reaction, made)


@app.command
async def enable(reaction_id: str, /, *, tenant: Tenant = TENANT, common: Common = COMMON) -> None:
    """Let a reaction take part again."""
    await _set_state(reaction_id, ReactionState.ENABLED, tenant, common)


@app.command
async def disable(reaction_id: str, /, *, tenant: Tenant = TENANT, common: Common = COMMON) -> None:
    """Keep a reaction from taking part; its waiting jobs are skipped when their turn comes."""
    await _set_state(reaction_id, ReactionState.DISABLED, tenant, common)


@app.command
async def delete(reaction_id: str, /, *, tenant: Tenant = TENANT, common: Common = COMMON) -> None:
    """Delete a reaction; its waiting jobs are skipped, its records stay."""
    async with open_engine(common) as engine:
        await engine.reactions.delete(reaction_id, tenant_id=tenant)
    if common.json:
        common.output.json({"id": reaction_id, "deleted": True})
    else:
        common.output.line(f"deleted {reaction_id}")


async def _set_state(reaction_id: str, state: ReactionState, tenant: str, common: Common) -> None:
    async with open_engine(common) as engine:
        reaction = await engine.reactions.update(reaction_id, tenant_id=tenant, state=state.value)
    _print(common, reaction)


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
            "events": " ".join(reaction.event_types),
            "condition": reaction.condition,
            "call": f"{params.method} {params.url}",
            "body": params.body.kind if params.body.kind is not BodyKind.PAYLOAD else None,
            "signed": {0: "no", 1: "yes"}.get(
                len(params.secrets), f"with {len(params.secrets)} secrets"
            ),
            "attempts": f"{retry.max_attempts}, after {shown}{more} s" if delays else "1",
            "timeout": None if params.timeout is None else f"{params.timeout:g} s",
            "concurrency": params.concurrency,
            "rate limit": _rate(params.rate_limit),
            "ordered": "yes" if params.ordered else None,
            "priority": reaction.priority,
            "version": reaction.version,
            "created": reaction.created_at,
            "updated": reaction.updated_at,
        }
    )


def _concurrency(text: str | None) -> int | None:
    if text is None or text == _NONE:
        return None
    try:
        return int(text)
    except ValueError:
        message = f"--concurrency is {text!r}, but must be a whole number, or none"
        raise InvalidInput(message) from None


def _rate(rate: RateLimit | None) -> str | None:
    return None if rate is None else f"{rate.limit} in {rate.period:g} s"


def _pair(option: str, text: str, separator: str) -> tuple[str, str]:
    name, found, value = text.partition(separator)
    if not found:
        message = f"{option} {text!r} has no {separator!r} between name and value"
        raise InvalidInput(message)
    return name.strip(), value.strip()


def _body(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    return {"kind": text} if text in set(BodyKind) else _object("--body", text)


def _object(option: str, text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        message = f"{option} is not JSON: {error}"
        raise InvalidInput(message) from None
    if not isinstance(value, dict):
        message = f"{option} must be a JSON object"
        raise InvalidInput(message)
    return value


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file}: cannot be read: {error}"
        raise InvalidInput(message) from error
