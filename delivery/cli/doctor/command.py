"""`delivery doctor`: is everything there that deliveries need?"""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from collections.abc import AsyncIterator
from typing import Annotated

from cyclopts import Parameter

from delivery.cli.doctor import checks
from delivery.cli.doctor.findings import Finding, Verdict
from delivery.cli.doctor.loopback import check_delivery
from delivery.cli.options import COMMON, Common, load
from delivery.errors import DeliveryError, InvalidSetting

__all__ = ["doctor"]

_CHECKS = ("settings", "database", "schema", "clock", "notifications", "delivery")


async def doctor(
    *,
    skip_delivery: Annotated[bool, Parameter(help="Make no delivery.")] = False,
    common: Common = COMMON,
) -> int:
    """Check everything that deliveries need; exit code 1 if something is wrong.

    For the delivery a worker runs here for a moment; it may deliver other jobs that are due.
    """
    output = common.output
    findings: list[Finding] = []
    async for finding in _examine(common, skip_delivery=skip_delivery):
        findings.append(finding)
        if common.json:
            continue
        output.marked(finding.verdict.mark, finding.check, finding.detail, finding.advice)
    failed = [finding for finding in findings if finding.verdict is Verdict.FAILED]
    if common.json:
        output.json({"ok": not failed, "checks": findings})
    else:
        output.line()
        output.line(f"{len(failed)} of {len(findings)} checks failed" if failed else "all is well")
    return 1 if failed else 0


async def _examine(common: Common, *, skip_delivery: bool) -> AsyncIterator[Finding]:
    """Every check's finding, in the order of `_CHECKS`; those that cannot be done are skipped."""
    done = 0
    try:
        settings = load(common)
        changed = len(settings.model_fields_set)
        detail = f"can be used; {changed} sections changed" if changed else "all are defaults"
        yield Finding("settings", Verdict.OK, detail)
        done = 1
        async with checks.reach(settings) as (url, connection):
            yield await checks.check_database(settings, connection)
            done = 2
            schema = await checks.check_schema_version(connection)
            yield schema
            yield await checks.check_clock(connection)
            yield await checks.check_notifications(url, connection, settings)
            done = 5
            if skip_delivery:
                yield Finding("delivery", Verdict.SKIPPED, "not asked for")
            elif schema.verdict is Verdict.FAILED:
                yield Finding("delivery", Verdict.SKIPPED, "not without the schema")
            else:
                yield await check_delivery(url, settings)
            done = 6
    except InvalidSetting as error:
        yield Finding(_CHECKS[done], Verdict.FAILED, str(error), "see `delivery config show`")
    except DeliveryError as error:
        yield Finding(_CHECKS[done], Verdict.FAILED, str(error))
    else:
        return
    for name in _CHECKS[done + 1 :]:
        yield Finding(name, Verdict.SKIPPED, f"not without the {_CHECKS[done]}")
