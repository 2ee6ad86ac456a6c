"""The commands, in the order of the help, and the help of the program as a whole.

This module writes the help, because the import of cyclopts takes several times as long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COMMANDS", "COMMON_OPTIONS", "EPILOGUE", "SUMMARY", "asks_for_overview", "overview"]

SUMMARY: Final = "Webhook delivery on PostgreSQL: fan-out, retries, and a log of every exchange."


class Command(NamedTuple):
    """A command or a group of commands."""

    name: str
    source: str
    """The module and the name in it, imported when the command is run."""
    summary: str
    """The first line of its help."""


COMMANDS: Final = (
    Command(
        "demo",
        "delivery.cli.demo.command:demo",
        "Run a demo: a receiver, 6 reactions, 1,000 triggers and a report.",
    ),
    Command(
        "serve",
        "delivery.cli.worker:serve",
        "Run the daemon. Currently an alias of `delivery worker`.",
    ),
    Command(
        "worker",
        "delivery.cli.worker:worker",
        "Deliver jobs until stopped; workers can share a database.",
    ),
    Command(
        "migrate",
        "delivery.cli.migrations:migrate",
        "Migrate the schema, and create the partitions of the next days.",
    ),
    Command(
        "maintain",
        "delivery.cli.migrations:maintain",
        "Create the partitions of the next days, and remove dead workers.",
    ),
    Command(
        "doctor",
        "delivery.cli.doctor.command:doctor",
        "Check the installation; exit code 1 if a check fails.",
    ),
    Command(
        "reactions",
        "delivery.cli.reactions.requests:reactions",
        "Manage reactions (webhook endpoints).",
    ),
    Command(
        "trigger",
        "delivery.cli.triggering:trigger",
        "Record an event, and create a job for every matching reaction.",
    ),
    Command(
        "triggers",
        "delivery.cli.triggers:app",
        "List, show and wait for triggers (recorded events).",
    ),
    Command(
        "jobs",
        "delivery.cli.jobs:app",
        "List, inspect and wait for jobs.",
    ),
    Command(
        "logs",
        "delivery.cli.logs:app",
        "List, show and follow delivery logs.",
    ),
    Command(
        "listen",
        "delivery.cli.listen:listen",
        "Run a local receiver that prints, verifies or rejects webhooks.",
    ),
    Command(
        "secrets",
        "delivery.cli.secrets:app",
        "Manage the keys that encrypt stored secrets.",
    ),
    Command(
        "config",
        "delivery.cli.configuration:app",
        "Show and check the settings.",
    ),
)

COMMON_OPTIONS: Final = ("--json", "--database-url", "--config", "--set", "--debug")
"""Options that every command takes."""

_FLAGS: Final = (
    ("--help, -h", "Show this help; `delivery COMMAND --help` shows the help of a command."),
    ("--install-completion", "Install shell completion."),
    ("--version", "Show the version."),
)

EPILOGUE: Final = """\
Every command accepts --json, --database-url, --config, --set and --debug. Environment
variables DELIVERY_SECTION_KEY also set settings; `delivery config show --explain` lists them.

Exit codes:

- 0: success
- 1: failure, or a failed check
- 2: invalid command, option or value
- 3: database unavailable
- 4: not found
- 5: timed out
- 6: port in use
- 130: interrupted
- 141: output closed early
"""

_HELP_FLAGS: Final = frozenset({"--help", "-h"})


def asks_for_overview(arguments: Sequence[str]) -> bool:
    """Return True for a request for the help of the whole program."""
    if not arguments:
        return True
    return not _HELP_FLAGS.isdisjoint(arguments) and all(
        argument.startswith("-") for argument in arguments
    )


def overview(columns: int) -> str:
    """Return the help of the whole program, at most this many columns wide."""
    from textwrap import fill

    rows = [(command.name, command.summary) for command in COMMANDS]
    lines = ["Usage: delivery COMMAND [OPTIONS]", "", fill(SUMMARY, columns)]
    for title, entries in (("Commands", rows), ("Options", list(_FLAGS))):
        lines += ["", f"{title}:"]
        width = max(len(name) for name, _ in entries)
        for name, text in entries:
            lines.append(
                fill(
                    text,
                    max(columns, width + 24),
                    initial_indent=f"  {name:<{width}}  ",
                    subsequent_indent=" " * (width + 4),
                )
            )
    paragraph, _, codes = EPILOGUE.partition("\n\n")
    lines += ["", fill(paragraph.replace("\n", " "), columns, break_on_hyphens=False), "", codes]
    return "\n".join(lines)
