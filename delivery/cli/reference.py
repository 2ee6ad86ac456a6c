"""The generator of `docs/cli.md`, the reference of the command line.

`python -m delivery.cli.reference > docs/cli.md` updates it.
"""

from __future__ import annotations

import re
import sys
from typing import Final

from delivery.cli.app import build_app
from delivery.cli.overview import EPILOGUE

__all__ = ["reference"]

_COMMON: Final = re.compile(r"\*\*Common\*\*:\n\n(?:\*.*\n)+\n?")
"""The common options, which the page lists only once."""
_CONTENTS: Final = re.compile(r"## Table of Contents\n.*?(?=\*\*Commands\*\*)", re.DOTALL)
_COMPLETION: Final = re.compile(r"\n## delivery --install-completion\n.*?(?=\n## |\Z)", re.DOTALL)
"""A heading for an option, which remains in the list of commands."""


def reference() -> str:
    """Return all commands with their options, as Markdown."""
    text = _generate()
    found = _COMMON.search(text)
    assert found is not None, "every command takes the common options"
    for pattern in (_COMMON, _CONTENTS, _COMPLETION):
        text = pattern.sub("", text)
    commands = re.sub(r"\n{3,}", "\n\n", text.replace("](#delivery---install-completion)", "]"))
    head, _, rest = commands.partition("\n## ")
    parts = [
        "<!-- Written by `python -m delivery.cli.reference`; change the commands instead. -->",
        head.strip(),
        EPILOGUE.strip(),
        f"## Options of every command\n\n{found[0].partition(chr(10) * 2)[2].strip()}",
        f"## {rest.strip()}",
    ]
    return "\n\n".join(parts) + "\n"


def _generate() -> str:
    """Generate Markdown with cyclopts."""
    called = sys.argv
    # cyclopts would parse the arguments of the running program.
    sys.argv = ["delivery"]
    try:
        text: str = build_app().generate_docs(recursive=True)
    finally:
        sys.argv = called
    # Remove negative options that the commands lack, and empty defaults.
    return re.sub(r"(?:, --(?:empty|no)-[a-z-]+)(?=`)| \*\[default: (?:\(\)|False)\]\*", "", text)


if __name__ == "__main__":
    sys.stdout.write(reference())
