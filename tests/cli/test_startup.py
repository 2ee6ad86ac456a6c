"""Modules that short commands import: imports take most of their time."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import delivery
from tests.support.engines import engine_on
from tests.support.proxies import Proxy

HEAVY = frozenset(
    {
        *("asyncio", "asyncpg", "cryptography", "cyclopts", "httpcore", "httptools", "httpx"),
        *("jmespath", "orjson", "pydantic", "rich", "sqlalchemy", "ssl", "uvloop"),
    }
)
ENGINE = frozenset({"asyncpg", "cryptography", "httpcore", "httpx", "pydantic", "uvloop"})

CALLS = frozenset({"anyio", "httpcore", "httptools", "httpx", "idna", "jmespath", "uvloop"})
PARTS = ("delivery.engine", "delivery.http", "delivery.message", "delivery.policy", "delivery.s")
WRITING = frozenset(
    {
        *("delivery.service.calls", "delivery.service.database", "delivery.service.direct_jobs"),
        *("delivery.service.previews", "delivery.service.reaction_writer"),
        *(
            "delivery.service.trigger_writer",
            "delivery.store.driver.caller",
            "delivery.embedded.server",
        ),
    }
)


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


@pytest.fixture
async def filled(database_url: str) -> str:
    """A database with a reaction, a trigger and a job."""
    async with engine_on(database_url) as engine:
        await engine.reactions.create(name="shop", url="http://127.0.0.1:9/")
        await engine.trigger("order.paid", {"order": 1})
    return database_url


@pytest.mark.parametrize(
    ("arguments", "redacts", "signs"),
    [
        (("jobs", "list"), False, False),
        (("jobs", "list", "--json"), False, False),
        (("logs", "list"), True, False),
        (("triggers", "list"), True, False),
        (("reactions", "list"), True, True),
    ],
    ids=["jobs", "jobs as JSON", "logs", "triggers", "reactions"],
)
@pytest.mark.anyio
async def test_a_command_that_reads_imports_only_what_it_shows(
    filled: str, arguments: tuple[str, ...], *, redacts: bool, signs: bool
) -> None:
    """Hold what commands import: `redacts` and `signs` allow modules that they show values with."""
    modules = imported(command(*arguments, "--database-url", filled))
    assert "asyncpg" in modules
    assert not CALLS & modules
    assert signs or "cryptography" not in modules
    own = {name for name in modules if name.startswith(PARTS)}
    assert {name for name in own if name.startswith(("delivery.http", "delivery.engine"))} <= {
        "delivery.engine",
        "delivery.engine.roles",
        "delivery.engine.watch",
    }
    assert not WRITING & own
    if not redacts:
        assert {name for name in own if name.startswith("delivery.message")} <= {
            "delivery.message",
            "delivery.message.storage",
            "delivery.message.storage.encryption",
        }
        assert not {name for name in own if name.startswith("delivery.policy")}


@pytest.mark.parametrize(("given", "freezes"), [("", True), ('["--version"]', False)])
def test_only_the_program_itself_ends_without_a_search_for_garbage(
    given: str, *, freezes: bool
) -> None:
    code = (
        "import gc, sys\n"
        "from delivery.cli import main\n"
        "sys.argv = ['delivery', '--version']\n"
        f"assert main({given}) == 0\n"
        f"assert (gc.get_freeze_count() > 0) is {freezes}"
    )
    imported(code)


@pytest.mark.anyio
async def test_connecting_opens_one_connection(database_url: str) -> None:
    """The schema is checked on the connection that is used later."""
    async with Proxy(database_url) as proxy, engine_on(proxy.url, migrate=False) as engine:
        await engine.jobs.list()
        assert proxy.accepted == 1


def test_every_public_name_is_found_and_no_other() -> None:
    for name in delivery.__all__:
        assert getattr(delivery, name) is not None
    assert set(delivery.__all__) <= set(dir(delivery))
    with pytest.raises(AttributeError, match="has no attribute 'conect'"):
        delivery.conect  # type: ignore[attr-defined]  # noqa: B018
