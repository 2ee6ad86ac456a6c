"""`delivery listen`: a receiver that prints and verifies requests."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from typing import Annotated

from cyclopts import Parameter

from delivery.cli.options import COMMON, Common
from delivery.cli.secret_input import SECRET_HELP, read_secrets

__all__ = ["listen"]


async def listen(
    *,
    port: Annotated[int, Parameter(help="Port to listen on; 0 selects a free port.")] = 0,
    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1",
    secret: Annotated[
        tuple[str, ...],
        Parameter(
            metavar="WHSEC",
            allow_leading_hyphen=True,
            help=f"Verify signatures with this secret, or `whpk_` key; repeatable. {SECRET_HELP}",
        ),
    ] = (),
    status: Annotated[int, Parameter(help="Status of the responses.")] = 200,
    fail_first: Annotated[int, Parameter(help="Fail the first N deliveries of each message.")] = 0,
    fail_status: Annotated[int, Parameter(help="Status of the failure responses.")] = 503,
    delay: Annotated[float, Parameter(help="Seconds to wait before each response.")] = 0.0,
    drop: Annotated[
        bool,
        Parameter(
            help="Close the connection without a response; with --fail-first only for failures."
        ),
    ] = False,
    count: Annotated[int | None, Parameter(help="Exit after this many requests.")] = None,
    common: Common = COMMON,
) -> int:
    """Run a local receiver that prints, verifies or rejects webhooks.

    Exit code 1 if one of --count requests had an invalid signature. The engine calls loopback
    addresses only if a setting allows them: `--set http.allowed_networks=127.0.0.0/8`.
    """
    from delivery.cli.listen_receiver import Listening, receive

    secrets = await read_secrets("--secret", secret)
    options = Listening(host, port, secrets, status, fail_first, fail_status, delay, drop, count)
    return await receive(options, common.output)
