"""Run benches in sequence and write their figures into docs/benchmarks.md.

    python -m bench.report                  all of them
    python -m bench.report latency wal      these; the others retain their figures
    python -m bench.report --only-table     none: only rewrite the table

The last figures of each bench are in bench/measured/NAME.json; the table is made from these files.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from bench.__main__ import NAMES
from bench.databases import server
from bench.words import in_words, machine
from delivery.errors import DeliveryError
from delivery.store.driver.connection import connect

__all__ = ["main"]

_REPOSITORY: Final = Path(__file__).parents[1]
_MEASURED: Final = _REPOSITORY / "bench" / "measured"
_DOCUMENT: Final = _REPOSITORY / "docs" / "benchmarks.md"
_BEGIN: Final = "<!-- figures: written by make bench -->"
_END: Final = "<!-- end of figures -->"
_INTERRUPTED: Final = 130


class _ReportFailed(Exception):
    """The table cannot be written."""


def main() -> int:
    """Run the benches on the command line; return 0 if all are measured and written."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", type=_bench, help=", ".join(NAMES))
    parser.add_argument("--only-table", action="store_true", help="measure nothing")
    parser.add_argument(
        "--database-url",
        help="a PostgreSQL server to create databases on (default: the embedded one)",
    )
    options = parser.parse_args()
    try:
        # Checked before any bench runs, so that all measured figures can be written.
        _write_table()
        if options.only_table:
            return 0
        missed = _measure(options.names or NAMES, options.database_url)
    except DeliveryError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except _ReportFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the table has the completed measurements", file=sys.stderr)
        return _INTERRUPTED
    if missed:
        print(f"error: not measured: {', '.join(missed)}; see above", file=sys.stderr)
    return 1 if missed else 0


def _bench(name: str) -> str:
    if name not in NAMES:
        message = f"there is no bench {name!r}; there are {', '.join(NAMES)}"
        raise argparse.ArgumentTypeError(message)
    return name


def _measure(names: tuple[str, ...] | list[str], database_url: str | None) -> list[str]:
    """Run each bench in its own process, write the table after each, and return failed ones."""
    database = asyncio.run(_database(database_url))
    missed = []
    for name in names:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "bench", name, "--json"]
        if database_url is not None:
            command += ["--database-url", database_url]
        output = _output(command)
        if output is None:
            missed.append(name)
            continue
        figures = json.loads(output.splitlines()[-1])
        figures |= {"database": database, "day": datetime.now(UTC).date().isoformat()}
        _MEASURED.mkdir(exist_ok=True)
        (_MEASURED / f"{name}.json").write_text(
            json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        _write_table()
    return missed


def _output(command: list[str]) -> str | None:
    """Run a program and return its output; return None if it fails and reports an error.

    After an interrupt the program has time to end by itself, because it then drops its databases.
    """
    process = subprocess.Popen(command, cwd=_REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        output, _ = process.communicate()
    except KeyboardInterrupt:
        process.communicate()
        raise
    return None if process.returncode else output


async def _database(given: str | None) -> str:
    """Return the version of the measured PostgreSQL."""
    async with server(given) as url:
        connection = await connect(url, 10.0)
        try:
            version: str = await connection.fetchval("SHOW server_version")
        finally:
            await connection.close()
    return f"{'embedded ' if given is None else ''}PostgreSQL {version.split(maxsplit=1)[0]}"


def _write_table() -> None:
    """Write the table of all stored figures between the two markers of the document.

    Raises:
        _ReportFailed: if the markers are missing, or the figures cannot be read.
    """
    text = _DOCUMENT.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        message = f"{_DOCUMENT} lacks the lines {_BEGIN!r} and {_END!r}; add them where the table "
        raise _ReportFailed(message + "belongs")
    table = "\n".join(
        _table([_stored(name) for name in NAMES if (_MEASURED / f"{name}.json").exists()])
    )
    _DOCUMENT.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")


def _stored(name: str) -> dict[str, Any]:
    file = _MEASURED / f"{name}.json"
    try:
        figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{file} is not JSON ({error}); delete it, and measure {name} again"
        raise _ReportFailed(message) from error
    return figures


def _table(benches: list[dict[str, Any]]) -> list[str]:
    """Return lines of Markdown: the machine, and a row for each bench."""
    machines: dict[str, list[str]] = {}
    for figures in benches:
        machines.setdefault(machine(figures), []).append(figures["bench"])
    lines = []
    for described, names in machines.items():
        which = "" if len(machines) == 1 else f" ({', '.join(names)})"
        lines += ["", f"Measured on {described}{which}: for PostgreSQL, receiver and worker."]
    lines += [
        "",
        "| bench | measured | target | reached | database | day |",
        "|---|---|---|---|---|---|",
    ]
    for figures in benches:
        reached = {True: "yes", False: "**no**"}.get(figures.get("reached"), "-")  # type: ignore[arg-type]
        cells = (figures["bench"], in_words(figures), figures.get("target", "none"), reached)
        lines.append(f"| {' | '.join((*cells, figures['database'], figures['day']))} |")
    return [*lines, ""]


if __name__ == "__main__":
    sys.exit(main())
