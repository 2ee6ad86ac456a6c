"""Invalid input is refused with one clear line and the documented exit code."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest

from tests.cli.running import call, run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.databases import PrivateServer

pytestmark = pytest.mark.anyio

CREATE = ("reactions", "create", "--name", "x")
URL = ("--url", "https://example.com/hook")


async def refused(
    *arguments: str, environment: Mapping[str, str] | None = None, quick: bool = False
) -> tuple[int, str]:
    """Return the exit code and the one line of the error."""
    ended = await (call(*arguments) if quick else run(*arguments, environment=environment))
    assert ended.out == ""
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1, ended.err
    return ended.code, ended.err.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((*CREATE, "--url", "https:///nohost"), "https:///nohost"),
        ((*CREATE, "--url", "ftp://example.com/"), "http"),
        ((*CREATE, "--url", "http://127.0.0.1:8000/"), "DELIVERY_HTTP_ALLOWED_NETWORKS"),
        ((*CREATE, "--url", "http://[::ffff:10.0.0.1]/"), "http.allowed_networks"),
        ((*CREATE, *URL, "--header", "X-A: b\r\nX-C: d"), "X-A"),
        ((*CREATE, *URL, "--header", "no colon"), "has no ':'"),
        ((*CREATE, *URL, "--secret", "whsec_c2hvcnQ="), "24"),
        ((*CREATE, *URL, "--secret", "hunter2"), "whsec_"),
        ((*CREATE, *URL, "--retry", "{"), "--retry is not JSON"),
        ((*CREATE, *URL, "--retry", "[]"), "--retry must be a JSON object"),
        ((*CREATE, *URL, "--retry", '{"attempts": 3}'), "unknown key: attempts"),
        ((*CREATE, *URL, "--status-action", "404=ignore"), "succeed, retry, fail"),
        ((*CREATE, *URL, "--tls-ca", "/nowhere.pem"), "/nowhere.pem: cannot be read"),
        ((*CREATE, *URL, "--condition", "a ||"), "condition"),
        (("reactions", "show", "12"), "'12', which is not a UUID, nor at least 4 digits"),
        (("trigger", "order.paid", "{not json"), "payload"),
        (("trigger", "order.paid", "@/nowhere.json"), "/nowhere.json: cannot be read"),
        (("trigger", "order.paid", "--run-at", "tomorrow"), "not an ISO 8601 time"),
        (("trigger", "order paid"), "order paid"),
        (("trigger", "order\udcff"), "a lone surrogate"),
        (("trigger", "job.exhausted"), "job.exhausted is reserved for the engine"),
        (("trigger", "order.paid", "--delay", "1e18"), "end before the year 2200"),
        (("trigger", "order.paid", "--wait", "--timeout", "-1"), "timeout is -1.0"),
        ((*CREATE, "--url", "https://example.com/\udcff"), "it contains a lone surrogate"),
        (("migrate", "--grant", ""), "the name of a role must have from 1 to 63 characters"),
        (("migrate", "--grant", "a\udcff"), "the name of a role contains a lone surrogate"),
        (("trigger", "order.paid", "--dely=5"), "unknown option --dely; did you mean --delay?"),
        (("jobs", "list", "--status", "done"), "queued"),
        (("jobs", "list", "--limit", "0"), "limit"),
        (("jobs", "list", "--cursor", "?"), "cursor"),
        (("logs", "list", "--outcome", "good"), "succeeded"),
    ],
)
async def test_invalid_values_exit_with_2(
    database_url: str, arguments: tuple[str, ...], text: str
) -> None:
    code, message = await refused(*arguments, "--database-url", database_url, quick=True)
    assert code == 2
    assert text in message


async def test_a_surrogate_in_the_url_of_the_database_is_refused() -> None:
    code, message = await refused("jobs", "list", "--database-url", "postgresql://u:\udcff@h/d")
    assert code == 2
    assert "lone surrogate" in message
    assert "codec" not in message


async def test_a_foreign_listen_address_is_refused_with_a_clear_error() -> None:
    code, message = await refused("listen", "--host", "192.0.2.1")
    assert code == 2
    assert message == (
        "cannot listen on port 0 of 192.0.2.1: Cannot assign requested address; choose another"
    )


async def test_missing_objects_exit_with_4(database_url: str) -> None:
    absent = str(uuid4())
    for noun in ("reactions", "jobs", "logs"):
        code, message = await refused(
            noun, "show", absent, "--database-url", database_url, quick=True
        )
        assert code == 4
        assert absent in message


async def test_errors_omit_secrets(database_url: str) -> None:
    _, message = await refused(*CREATE, *URL, "--secret", "hunter2", "--database-url", database_url)
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--set", "http.timout=5"), "http.timout"),
        (("--set", "http.timeout=soon"), "http.timeout"),
        (("--set", "timeout"), "section.key=value"),
        (("--database-url", "mysql://localhost/x"), "postgresql://"),
        (("--config", "/nowhere.toml"), "/nowhere.toml: cannot be read"),
    ],
)
async def test_invalid_settings_exit_with_2(arguments: tuple[str, ...], text: str) -> None:
    code, message = await refused("config", "check", *arguments, quick=True)
    assert code == 2
    assert text in message


async def test_an_unknown_key_is_reported_with_its_source(tmp_path: Path) -> None:
    file = tmp_path / "delivery.toml"
    file.write_text("[worker]\nconcurency = 5\n")
    code, message = await refused("jobs", "list", "--config", str(file))
    assert code == 2
    assert "worker.concurency" in message
    assert str(file) in message
    code, message = await refused(
        "config", "check", environment={"DELIVERY_WORKER_CONCURENCY": "5"}
    )
    assert code == 2
    assert "DELIVERY_WORKER_CONCURENCY" in message


async def test_an_unreachable_database_exits_with_3() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        url = f"postgresql://me:hunter2@127.0.0.1:{port}/x"
        code, message = await refused("jobs", "list", "--database-url", url)
        ended = await run("worker", "--json", "--database-url", url)
    assert code == 3
    assert "nothing listens there" in message
    assert "hunter2" not in message
    assert ended.code == 3
    assert json.loads(ended.err)["error"]["code"] == "database_unavailable"


async def test_a_wrong_password_exits_with_3(private_server: PrivateServer) -> None:
    connection = await asyncpg.connect(private_server.url)
    await connection.execute("CREATE ROLE me LOGIN PASSWORD 'right'")
    await connection.close()
    private_server.require_passwords("me")
    url = private_server.url.replace("postgres@", "me:hunter2@")
    code, message = await refused("migrate", "--database-url", url)
    assert code == 3
    assert "the password is wrong" in message
    assert "hunter2" not in message


async def test_a_schema_of_another_version_exits_with_3(
    database_url: str, empty_database_url: str
) -> None:
    code, message = await refused("jobs", "list", "--database-url", empty_database_url)
    assert code == 3
    assert "run `delivery migrate`" in message
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "INSERT INTO delivery.schema_migrations (version, name, checksum)"
        " SELECT max(version) + 1, 'tomorrow', repeat('0', 64) FROM delivery.schema_migrations"
    )
    await connection.close()
    for command in (("jobs", "list"), ("migrate",), ("worker",)):
        code, message = await refused(*command, "--database-url", database_url)
        assert code == 3
        assert "newer than version" in message
        assert "upgrade the engine" in message


async def test_a_port_in_use_exits_with_6() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, message = await refused("listen", "--port", str(port))
    assert code == 6
    assert f"port {port} of 127.0.0.1 is in use" in message


async def test_an_embedded_directory_of_another_postgresql_exits_with_3(
    short_directory: Path,
) -> None:
    data = short_directory / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("9\n")
    directory = f"database.embedded_directory={short_directory}"
    code, message = await refused("jobs", "list", "--set", directory)
    assert code == 3
    assert "PostgreSQL 9" in message


async def test_a_read_only_embedded_directory_exits_with_3(short_directory: Path) -> None:
    file = short_directory / "file"
    file.write_text("in the way")
    directory = f"database.embedded_directory={file}"
    code, message = await refused("jobs", "list", "--set", directory)
    assert code == 3
    assert str(file) in message


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunt/hunter2@h.invalid/d",
        "postgresql://me:hunt?hunter2@h.invalid/d",
        "postgresql://me:hunt#hunter2@h.invalid/d",
        "postgresql://me:hunt@hunter2@h.invalid/d",
        "postgresql://me:12/hunter2@h.invalid/d",
        "postgresql://h.invalid/d?user=me&password=hunt&hunter2",
        "host=h.invalid user=me password=hunter2",
    ],
)
async def test_an_unencoded_database_password_is_never_printed(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "delivery.toml"
    file.write_text(f"[database]\nurl = '''{url}'''\n")
    assignment = f"database.url={url}"
    for given in (
        ("--database-url", url),
        (f"--database-url={url}",),
        ("--config", str(file)),
        ("--set", assignment),
        ("--set", assignment.replace("=", ":", 1).replace(".", " ", 1)),
        (f"--databse-url={url}",),
    ):
        for command in (("doctor", "--json"), ("config", "show"), ("jobs", "list", "--debug")):
            ended = await call(*command, *given)
            assert ended.code in {1, 2, 3}
            assert "hunter2" not in ended.out + ended.err, given
    monkeypatch.setenv("DELIVERY_DATABASE_URL", url)
    ended = await call("jobs", "list")
    assert ended.code == 2
    assert "DELIVERY_DATABASE_URL" in ended.err
    assert "hunter2" not in ended.err


async def test_connection_errors_redact_an_encoded_password() -> None:
    url = "postgresql://me:hunter%2F2%40x@127.0.0.1:9/d"
    ended = await call("jobs", "list", "--database-url", url, "--debug", "--json")
    assert ended.code == 3
    assert "postgresql://me:***@127.0.0.1:9/d" in ended.err
    assert "hunter" not in ended.err
