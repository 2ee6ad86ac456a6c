"""`delivery reactions preview` and `test`: show the request of a reaction, or send it once."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from delivery.cli.options import COMMON, TENANT, Common, Tenant, open_engine
from delivery.cli.reactions.commands import app as reactions
from delivery.cli.reactions.secrets import ReactionId
from delivery.cli.standard_input import read_standard_input
from delivery.cli.times import duration
from delivery.errors import InvalidInput

if TYPE_CHECKING:
    from delivery.cli.render import Output
    from delivery.models import RequestPreview, TestCall

__all__ = ["reactions"]

_SAMPLE = b'{"test":true}'
"""The default payload."""

Event = Annotated[
    Path | None,
    Parameter(
        metavar="FILE",
        # Allows `--event -`, which cyclopts would parse as an option.
        allow_leading_hyphen=True,
        help='File with the JSON payload; `-`: standard input; default `{"test":true}`.',
    ),
]
Type = Annotated[str, Parameter(name="--type", help="Type of the event.")]


@reactions.command
async def preview(
    reaction_id: ReactionId,
    /,
    *,
    event: Event = None,
    type_: Type = "test",
    show_secrets: Annotated[
        bool, Parameter(negative=(), help="Show secrets instead of `***`.")
    ] = False,
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> None:
    """Show the exact request for an event, without sending it."""
    payload = await _payload(event)
    async with open_engine(common) as engine:
        key = await engine.ids.find("reaction", reaction_id, tenant_id=tenant)
        request = await engine.reactions.preview(
            key, payload, type=type_, reveal=show_secrets, tenant_id=tenant
        )
    if common.json:
        common.output.json(request)
    else:
        _show_request(common.output, request)


@reactions.command(name="test")
async def try_call(
    reaction_id: ReactionId,
    /,
    *,
    event: Event = None,
    type_: Type = "test",
    tenant: Tenant = TENANT,
    common: Common = COMMON,
) -> int:
    """Send the request for an event once, and show the response.

    The command writes no trigger, job or log row, and does not retry. Exit code 1 if the
    reaction's rules count the response as a failure.
    """
    payload = await _payload(event)
    async with open_engine(common) as engine:
        key = await engine.ids.find("reaction", reaction_id, tenant_id=tenant)
        called = await engine.reactions.test(key, payload, type=type_, tenant_id=tenant)
    if common.json:
        common.output.json(called)
    else:
        _show_call(common.output, called)
    return 0 if called.succeeded else 1


async def _payload(event: Path | None) -> bytes:
    import asyncio

    if event is None:
        return _SAMPLE
    if str(event) == "-":
        return await read_standard_input()
    if str(event).lstrip()[:1] in {"{", "[", '"'}:
        message = "--event takes a file with JSON, or - for standard input, not the JSON itself"
        raise InvalidInput(message)
    try:
        return await asyncio.to_thread(event.read_bytes)
    except OSError as error:
        message = f"{event}: cannot be read: {error.strerror or error}"
        raise InvalidInput(message) from error


def _show_request(output: "Output", request: "RequestPreview") -> None:
    output.line(f"{request.method} {request.url}", "bold")
    for name, value in request.headers:
        output.line(f"  {name}: {value}", "dim")
    output.body(request.body)


def _show_call(output: "Output", called: "TestCall") -> None:
    _show_request(output, called.request)
    output.line()
    if called.response is None:
        output.line("no response", "bold")
    else:
        output.line(f"HTTP {called.status_code}", "bold")
        for name, value in called.response.headers:
            output.line(f"  {name}: {value}", "dim")
        output.body(called.response.body)
    output.line()
    output.details(
        {
            "result": "success" if called.succeeded else "failure",
            "failure": called.failure_kind,
            "error": called.error,
            "address": called.remote_address,
            "ms": duration(called.duration_ms),
        }
    )
