"""`delivery reactions rotate-secret` and `secrets`: the signing secrets of a reaction."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

import re
from typing import TYPE_CHECKING, Annotated, Any, Final

from cyclopts import Parameter

from delivery.cli.options import COMMON, TENANT, Common, Tenant, open_engine
from delivery.cli.secret_input import SECRET_HELP, read_secret
from delivery.cli.times import moment
from delivery.errors import InvalidInput

if TYPE_CHECKING:
    from delivery.cli.render import Output
    from delivery.models import Reaction, SigningSecret

__all__ = ["ReactionId", "describe_signing", "rotate_secret", "show_secrets"]

ReactionId = Annotated[
    str, Parameter(help="Id of the reaction, or the first or last digits of it.")
]

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|m|h|d)?")
_UNITS: Final = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}


async def rotate_secret(
    reaction_id: ReactionId,
    /,
    *,
    secret: Annotated[
        str | None,
        Parameter(
            metavar="WHSEC",
            allow_leading_hyphen=True,
            help=f"New secret; default: generate one. {SECRET_HELP}",
        ),
    ] = None,
    keep_for: Annotated[
        str,
        Parameter(
            metavar="TIME", help="Time that the previous secrets remain active: `90s`, `24h`, `7d`."
        ),
    ] = "24h",
    kind: Annotated[
        str | None,
        Parameter(help="Kind to generate: v1 (HMAC) or v1a (ed25519); default: the current kind."),
    ] = None,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """Add a new signing secret, and expire the previous ones after --keep-for.

    Until then, requests carry signatures of all of them, also requests of existing jobs. Give
    receivers the new secret (v1a: the public key) in this time. `--keep-for 0` expires the
    previous secrets immediately.
    """
    from delivery.rendering import to_json

    seconds = _seconds(keep_for)
    secret = await read_secret("--secret", secret)
    async with open_engine(common) as engine:
        key = await engine.ids.find("reaction", reaction_id, tenant_id=tenant)
        made = await engine.reactions.rotate_secret(
            key, secret, seconds, kind=kind, tenant_id=tenant
        )
        reaction = await engine.reactions.get(key, tenant_id=tenant)
    output = common.output
    shown = made.secret if secret is None else None
    if common.json:
        output.json(to_json(reaction) | ({} if shown is None else {"secret": shown}))
        return
    output.details(
        {"id": reaction.id, "signed": describe_signing(reaction), "public key": made.public_key}
        | {"secret": shown}
    )
    if shown is not None:
        output.note("Save this secret now: later output omits it.")


async def show_secrets(
    reaction_id: ReactionId, /, *, tenant: Tenant = TENANT, common: Common = COMMON
) -> None:
    """Show the secrets of a reaction: signing secrets, TLS key and redacted values."""
    from delivery.message.redaction.calls import redact_call, secret_parts
    from delivery.rendering import to_json

    async with open_engine(common) as engine:
        key = await engine.ids.find("reaction", reaction_id, tenant_id=tenant)
        reaction = await engine.reactions.get(key, reveal=True, tenant_id=tenant)
    visible = secret_parts(redact_call(reaction.params))
    hidden = {
        part: value
        for part, value in secret_parts(reaction.params).items()
        if value != visible[part] and part != "secrets"
    }
    secrets = [to_json(each) | {"secret": each.secret} for each in reaction.secrets]
    output = common.output
    if common.json:
        output.json({"id": reaction.id, "secrets": secrets, "hidden": hidden})
        return
    if not secrets and not hidden:
        output.note("This reaction has no secrets.")
        return
    for each in reaction.secrets:
        output.details(
            {
                "secret": each.secret,
                "kind": each.kind,
                "public key": each.public_key,
                "until": each.expires_at,
            }
        )
    _show_hidden(output, hidden)


def _show_hidden(output: "Output", hidden: dict[str, Any]) -> None:
    from delivery.rendering import dump_json

    for part, value in hidden.items():
        if part in {"headers", "query"}:
            output.line(f"{part}:")
            for name, text in value:
                output.line(f"  {name}: {text}")
        elif part == "client_key":
            output.line(f"TLS client key:\n{value}")
        else:
            output.details({part: value if isinstance(value, str) else dump_json(value)})


def describe_signing(reaction: "Reaction") -> str:
    """Return the kind and expiry of each signing secret, or `no`."""
    return ", ".join(_description(each) for each in reaction.secrets) or "no"


def _description(secret: "SigningSecret") -> str:
    until = "" if secret.expires_at is None else f" until {moment(secret.expires_at)}"
    return f"{secret.kind}{until}"


def _seconds(text: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        message = f"--keep-for is {text!r}; it must be a time such as 90s, 30m, 24h or 7d"
        raise InvalidInput(message)
    return float(match[1]) * _UNITS[match[2] or "s"]
