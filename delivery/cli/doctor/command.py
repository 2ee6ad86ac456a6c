"""`delivery doctor`: is everything there that deliveries need?"""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from collections.abc import AsyncIterator
from typing import Annotated

from cyclopts import Parameter

from delivery.cli.doctor.loopback import check_delivery
from delivery.cli.options import COMMON, Common, load
from delivery.errors import InvalidSetting
from delivery.service.doctor import CHECKS, CheckStatus, Finding, examine
from delivery.wording import counted

__all__ = ["doctor"]


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
        if not common.json:
            output.marked(finding.verdict.mark, finding.check, finding.detail, finding.advice)
    failed = [finding for finding in findings if finding.verdict is CheckStatus.FAILED]
    if common.json:
        output.json({"ok": not failed, "checks": findings})
    else:
        output.line()
        output.line(
            f"{len(failed)} of {counted(len(findings), 'check')} failed"
            if failed
            else "all is well"
        )
    return 1 if failed else 0


async def _examine(common: Common, *, skip_delivery: bool) -> AsyncIterator[Finding]:
    """The finding about the settings, and those of everything that rests on them."""
    try:
        settings = load(common)
    except InvalidSetting as error:
        yield Finding("settings", CheckStatus.FAILED, str(error), "see `delivery config show`")
        for name in CHECKS:
            yield Finding(name, CheckStatus.SKIPPED, "not without the settings")
        return
    changed = len(settings.model_fields_set)
    detail = f"valid; {counted(changed, 'section')} changed" if changed else "all are defaults"
    yield Finding("settings", CheckStatus.OK, detail)
    async for finding in examine(settings, None if skip_delivery else check_delivery):
        yield finding
