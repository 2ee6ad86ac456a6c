"""`delivery doctor` finds what is wrong, and says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from delivery.message.sealing import generate_key
from tests.cli.running import call, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

CHECKS = [
    *("settings", "database", "schema", "partitions", "clock", "notifications", "secrets"),
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
        "database": "failed",
        **dict.fromkeys(CHECKS[2:], "skipped"),
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
