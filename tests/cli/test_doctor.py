"""`delivery doctor` finds what is wrong, and says what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from delivery.message.storage.encryption import generate_key
from tests.cli.running import call, run
from tests.support.proxies import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.databases import DatabaseServer

pytestmark = pytest.mark.anyio

CHECKS = [
    "settings",
    "certificates",
    "database",
    "schema",
    "partitions",
    "clock",
    "notifications",
    "secrets",
    "delivery",
]
ONE_DAY = ("--set", "partitions.days_ahead=1")
"""For as many days the databases of tests have partitions."""
WITH_A_KEY = ("--set", f"secrets.keys={generate_key()}")


def verdicts(shown: Any) -> dict[str, str]:
    return {check["check"]: check["verdict"] for check in shown["checks"]}


async def test_all_is_well_on_a_good_database(database_url: str) -> None:
    ended = await run("doctor", "--json", "--database-url", database_url, *WITH_A_KEY, *ONE_DAY)
    assert ended.code == 0, ended.out
    assert ended.object["ok"] is True
    assert verdicts(ended.object) == dict.fromkeys(CHECKS, "ok")


async def test_ports_that_are_limited_do_not_keep_it_from_delivering(database_url: str) -> None:
    ended = await call(
        *("doctor", "--json", "--database-url", database_url, "--set", "http.allowed_ports=443")
    )
    assert verdicts(ended.object)["delivery"] == "ok"


async def test_partitions_that_run_out_are_found_days_before(database_url: str) -> None:
    ended = await call("doctor", "--json", "--database-url", database_url)
    found = next(check for check in ended.object["checks"] if check["check"] == "partitions")
    assert found["verdict"] == "warning"
    assert "only 1 more day" in found["detail"]
    assert "delivery migrate" in found["advice"]


async def test_a_missing_schema_is_found_and_the_way_out_named(empty_database_url: str) -> None:
    ended = await call("doctor", "--database-url", empty_database_url)
    assert ended.code == 1
    assert "✗ schema" in ended.out
    assert "→ run `delivery migrate`" in ended.out
    assert "- delivery" in ended.out


async def test_without_a_database_the_rest_is_skipped() -> None:
    ended = await call("doctor", "--json", "--database-url", "postgresql:///x?host=/nowhere")
    assert ended.code == 1
    assert verdicts(ended.object) == {
        "settings": "ok",
        "certificates": "ok",
        "database": "failed",
        **dict.fromkeys(CHECKS[3:], "skipped"),
    }


async def test_wrong_settings_are_a_finding_too() -> None:
    ended = await call("doctor", "--json", "--set", "http.timeout=never")
    assert ended.code == 1
    assert verdicts(ended.object) == {
        "settings": "failed",
        **dict.fromkeys(CHECKS[1:], "skipped"),
    }


async def test_notifications_that_are_off_are_no_fault(database_url: str) -> None:
    ended = await call(
        *("doctor", "--json", "--skip-delivery", "--database-url", database_url),
        *("--set", "worker.notifications=false"),
    )
    assert ended.code == 0
    assert verdicts(ended.object)["notifications"] == "skipped"


async def test_the_embedded_database_is_started_and_migrated(short_directory: Path) -> None:
    ended = await call("doctor", "--set", f"database.embedded_directory={short_directory}")
    assert ended.code == 0, ended.out
    assert f"embedded in {short_directory}" in ended.out
    assert "all is well" in ended.out


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def other_encoding(
    request: pytest.FixtureRequest, database_server: DatabaseServer
) -> Iterator[tuple[str, str]]:
    """An encoding that is not UTF-8, and the URL of a database of it."""
    with database_server.database(migrated=False, encoding=request.param) as url:
        yield request.param, url


async def test_a_database_that_is_not_utf8_is_found_before_anything_is_written(
    other_encoding: tuple[str, str],
) -> None:
    encoding, url = other_encoding
    ended = await call("doctor", "--database-url", url)
    assert ended.code == 1
    assert f"the database's encoding is {encoding}" in ended.out
    assert "→ create one with `createdb --encoding UTF8 --template template0 NAME`" in ended.out
    ended = await call("migrate", "--json", "--database-url", url)
    assert ended.code == 3
    assert json.loads(ended.err)["error"]["code"] == "wrong_encoding"
    ended = await call("migrate", "--check", "--database-url", url)
    assert "has no delivery schema yet" in ended.err


async def test_missing_certificates_of_authorities_are_found(
    database_url: str, tmp_path: Path
) -> None:
    """As in a slim container image."""
    nowhere = {"SSL_CERT_FILE": str(tmp_path / "none.pem"), "SSL_CERT_DIR": str(tmp_path)}
    ended = await run(
        *("doctor", "--skip-delivery", "--database-url", database_url), environment=nowhere
    )
    assert ended.code == 1
    assert "✗ certificates" in ended.out
    assert "apt-get install ca-certificates" in ended.out
    ended = await run("migrate", "--database-url", database_url, environment=nowhere)
    assert ended.code == 0
    assert "no certificates of authorities" in ended.err


async def test_a_silent_database_is_a_finding_soon(database_url: str) -> None:
    async with Proxy(database_url) as proxy:
        proxy.swallow()
        ended = await call(
            *("doctor", "--database-url", proxy.url, "--set", "database.connect_timeout=0.3")
        )
    assert ended.code == 1
    assert "no response within 0.3 s" in ended.out
