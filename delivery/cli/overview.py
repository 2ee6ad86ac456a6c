"""The commands, in the order of the help, and the help of the program as a whole.

The help is written here and not by cyclopts, which takes several times as long to import.
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
        "Run the whole engine once: a receiver, 6 reactions, 1,000 triggers, and a report.",
    ),
    Command(
        "serve",
        "delivery.cli.worker:serve",
        "Run the daemon. For now this is the same as `delivery worker`.",
    ),
    Command(
        "worker",
        "delivery.cli.worker:worker",
        "Make the calls until stopped. Any number of workers can share a database.",
    ),
    Command(
        "migrate",
        "delivery.cli.migrations:migrate",
        "Bring the database schema up to date, and make the partitions of the days ahead.",
    ),
    Command(
        "maintain",
        "delivery.cli.migrations:maintain",
        "Make the partitions of the days ahead, and forget workers that are long gone.",
    ),
    Command(
        "doctor",
        "delivery.cli.doctor.command:doctor",
        "Check everything that deliveries need; exit code 1 if something is wrong.",
    ),
    Command(
        "reactions",
        "delivery.cli.reactions.requests:reactions",
        "Create, change and show reactions: which events lead to which call.",
    ),
    Command(
        "trigger",
        "delivery.cli.triggering:trigger",
        "Record an event, and create a job for every reaction that matches it.",
    ),
    Command(
        "triggers",
        "delivery.cli.triggers:app",
        "List, show and wait for triggers: the events that were recorded.",
    ),
    Command(
        "jobs",
        "delivery.cli.jobs:app",
        "List, show and wait for jobs: the calls to make.",
    ),
    Command(
        "logs",
        "delivery.cli.logs:app",
        "List, show and follow the log of all exchanges.",
    ),
    Command(
        "listen",
        "delivery.cli.listen:listen",
        "Receive webhooks on this machine: show them, verify them, or fail on purpose.",
    ),
    Command(
        "secrets",
        "delivery.cli.secrets:app",
        "Generate and change the keys that encrypt stored secrets.",
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
    ("--help, -h", "Show this help; `delivery COMMAND --help` shows that of a command."),
    ("--install-completion", "Install completion of commands and options in the shell."),
    ("--version", "Show the version."),
)

EPILOGUE: Final = """\
Every command takes --json, --database-url, --config, --set and --debug. Settings can also be given
in the environment, as DELIVERY_SECTION_KEY; `delivery config show --explain` describes all of them.

Exit codes:

- 0: success
- 1: something failed, or a check found a problem
- 2: the command, or a value given to it, is not valid
- 3: the database cannot be used
- 4: the object does not exist
- 5: the wait timed out
- 6: the port is in use
- 130: interrupted
- 141: the output was closed before its end
"""

_HELP_FLAGS: Final = frozenset({"--help", "-h"})


def asks_for_overview(arguments: Sequence[str]) -> bool:
    """Whether the help of the whole program is asked for: no command is named."""
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
