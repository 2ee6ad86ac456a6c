"""`delivery config`: the settings in force and their sources."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from typing import Annotated

from cyclopts import App, Parameter

from delivery.cli.layout import Column
from delivery.cli.options import COMMON, Common, load
from delivery.errors import InvalidInput
from delivery.spelling import did_you_mean
from delivery.wording import counted, is_or_are

__all__ = ["app"]

app = App(name="config", help="Show and check the settings.", help_epilogue="")

_COLUMNS = (
    Column("SETTING"),
    Column("VALUE", flexible=20),
    Column("SET BY", rank=1, flexible=12),
)


@app.command
async def show(
    section: Annotated[
        str | None, Parameter(help="Show only this section, such as `http`.")
    ] = None,
    /,
    *,
    explain: Annotated[bool, Parameter(help="Also show descriptions and allowed values.")] = False,
    common: Common = COMMON,
) -> None:
    """Show every setting with its value and its source."""
    from delivery.settings import describe_settings, show_settings

    settings = show_settings(load(common))
    sections = dict.fromkeys(setting.section for setting in settings)
    if section is not None and section not in sections:
        message = f"there is no section {section!r}{did_you_mean(section, sections)}"
        raise InvalidInput(message)
    picked = [setting for setting in settings if section in {None, setting.section}]
    about = {(info.section, info.key): info for info in describe_settings()}
    output = common.output
    if common.json:
        shown: dict[str, dict[str, object]] = {}
        for setting in picked:
            info = about[setting.section, setting.key]
            shown.setdefault(setting.section, {})[setting.key] = {
                "value": setting.value,
                "set_by": setting.origin,
                "environment": info.environment,
                "allowed": info.allowed,
                "doc": info.doc,
            }
        output.json(shown)
        return
    if not explain:
        rows = [
            (f"{setting.section}.{setting.key}", _words(setting.value), setting.origin)
            for setting in picked
        ]
        output.table(_COLUMNS, rows, "No settings.")
        return
    for setting in picked:
        info = about[setting.section, setting.key]
        output.line(f"{setting.section}.{setting.key} = {_words(setting.value)}", "bold")
        allowed = f" Allowed: {info.allowed}." if info.allowed else ""
        output.line(f"  {info.doc}{allowed}")
        output.line(f"  {info.environment}; set by: {setting.origin}", "dim")


@app.command
async def check(*, common: Common = COMMON) -> None:
    """Validate the settings; exit code 2 if one is invalid."""
    from delivery.settings import show_settings

    settings = show_settings(load(common))
    changed = [setting for setting in settings if setting.origin != "default"]
    if common.json:
        common.output.json({"ok": True, "settings": len(settings), "changed": len(changed)})
    else:
        count = len(changed)
        changes = f"{counted(count, 'setting')} {is_or_are(count)} not the default"
        common.output.line(
            f"all {len(settings)} settings are valid; {changes if count else 'all are defaults'}"
        )


def _words(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "[]"
    return str(value)
