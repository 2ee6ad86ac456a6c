"""Modules that short commands import: imports take most of their time."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import delivery

HEAVY = frozenset(
    {
        *("asyncio", "asyncpg", "cryptography", "cyclopts", "httpcore", "httptools", "httpx"),
        *("jmespath", "orjson", "pydantic", "rich", "sqlalchemy", "ssl", "uvloop"),
    }
)
ENGINE = frozenset({"asyncpg", "cryptography", "httpcore", "httpx", "pydantic", "uvloop"})


def imported(code: str) -> set[str]:
    """The top-level modules that a program has imported when it ends."""
    report = "import json, sys; sys.stderr.write(chr(10) + json.dumps(sorted(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    modules: list[str] = json.loads(ended.stderr.splitlines()[-1])
    return set(modules)


def command(*arguments: str) -> str:
    return f"from delivery.cli import main\nassert main({list(arguments)!r}) == 0"


@pytest.mark.parametrize(
    "code",
    ["import delivery", command("--version"), command("--help"), command(), command("-h")],
    ids=["import", "version", "help", "no arguments", "short help"],
)
def test_import_version_and_help_import_nothing_heavy(code: str) -> None:
    modules = imported(code)
    assert "delivery" in modules
    assert not HEAVY & modules


@pytest.mark.parametrize(
    "arguments",
    [
        *(("jobs", "--help"), ("jobs", "list", "--help"), ("logs", "show", "--help")),
        *(("reactions", "create", "--help"), ("trigger", "--help"), ("triggers", "--help")),
        *(("worker", "--help"), ("listen", "--help"), ("config", "show", "--help")),
        *(("secrets", "--help"), ("migrate", "--help")),
    ],
)
def test_the_help_of_a_command_imports_nothing_of_the_engine(arguments: tuple[str, ...]) -> None:
    modules = imported(command(*arguments))
    assert not ENGINE & modules
    assert not {name for name in modules if name.startswith(("delivery.service", "delivery.store"))}


def test_a_command_that_reads_imports_neither_worker_nor_httpx(database_url: str) -> None:
    modules = imported(command("jobs", "list", "--database-url", database_url))
    assert "asyncpg" in modules
    assert not {"httpx", "httpcore", "uvloop", "delivery.engine.worker"} & modules


def test_every_public_name_is_found_and_no_other() -> None:
    for name in delivery.__all__:
        assert getattr(delivery, name) is not None
    assert set(delivery.__all__) <= set(dir(delivery))
    with pytest.raises(AttributeError, match="has no attribute 'conect'"):
        delivery.conect  # type: ignore[attr-defined]  # noqa: B018
