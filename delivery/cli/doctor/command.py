"""`delivery doctor`: check the installation."""

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
    skip_delivery: Annotated[bool, Parameter(help="Skip the test delivery.")] = False,
    common: Common = COMMON,
) -> int:
    """Check the installation; exit code 1 if a check fails.

    The test delivery runs a worker briefly, which may also deliver other due jobs.
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
            else "all checks passed"
        )
    return 1 if failed else 0


async def _examine(common: Common, *, skip_delivery: bool) -> AsyncIterator[Finding]:
    """Return the finding about the settings, and the findings of all other checks."""
    try:
        settings = load(common)
    except InvalidSetting as error:
        yield Finding("settings", CheckStatus.FAILED, str(error), "see `delivery config show`")
        for name in CHECKS:
            yield Finding(name, CheckStatus.SKIPPED, "skipped: the settings are invalid")
        return
    changed = len(settings.model_fields_set)
    detail = f"valid; {counted(changed, 'section')} changed" if changed else "all are defaults"
    yield Finding("settings", CheckStatus.OK, detail)
    async for finding in examine(settings, None if skip_delivery else check_delivery):
        yield finding
