"""Neither other users nor the environment can disturb the embedded database."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from delivery.embedded import locks
from delivery.embedded.cluster import Cluster
from delivery.embedded.files import make_socket_directory, prepare
from delivery.embedded.locks import held, open_lock, shared
from delivery.embedded.server import start_embedded
from delivery.errors import EmbeddedDatabaseError
from delivery.settings import Settings
from delivery.settings.embedded_url import is_embedded, socket_url
from delivery.store.driver.connection import connect, open_pool
from tests.cli.running import run

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
ENVIRONMENT = {
    "PGSSLMODE": "verify-full",
    "PGSSLNEGOTIATION": "direct",
    "PGHOST": "203.0.113.1",
    "PGPORT": "1",
    "PGUSER": "somebody",
    "PGDATABASE": "elsewhere",
    "PGPASSWORD": "x",
    "PGOPTIONS": "-c nonsense=1",
    "PGSERVICE": "nowhere",
    "PGPASSFILE": "/nowhere",
    "PGTARGETSESSIONATTRS": "standby",
    "PGGSSLIB": "nonsense",
}

LOCK = """
import fcntl, os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for name in ("gate", "users"):
    try:
        descriptor = os.open(os.path.join(sys.argv[1], name), os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        print("locked")
    except PermissionError:
        print("refused")
"""


@needs_root
async def test_another_user_cannot_lock_its_files(short_directory: Path) -> None:
    directory = short_directory / "postgres"
    database = await start_embedded(directory)
    await database.close()
    # The state after earlier versions.
    for name in ("gate", "users"):
        (directory / name).chmod(0o644)
    database = await start_embedded(directory)
    try:
        found = subprocess.run(
            [sys.executable, "-c", LOCK, str(directory)], capture_output=True, text=True, check=True
        )
        assert found.stdout.split() == ["refused", "refused"]
    finally:
        await database.close()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """Gate that another process holds."""
    path = tmp_path / "gate"
    descriptor = open_lock(path)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield path
    os.close(descriptor)


async def test_a_gate_held_by_an_unknown_process_has_a_short_timeout(
    gate: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks, "_UNKNOWN_TIMEOUT", 0.2)
    monkeypatch.setattr(locks, "_WARN_AFTER", 0.1)
    with pytest.raises(EmbeddedDatabaseError, match=f"`fuser {gate}` and end it"), held(gate, 60.0):
        pass
    assert f"waiting for {gate}" in caplog.text


async def test_the_holder_of_the_gate_is_named(gate: Path) -> None:
    gate.write_text(f"{os.getppid()}\n", encoding="ascii")
    with pytest.raises(EmbeddedDatabaseError, match=f"by process {os.getppid()},"), held(gate, 0.1):
        pass


async def test_the_gate_names_its_holder_while_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "gate"
    with held(path, 1.0):
        assert path.read_text(encoding="ascii") == f"{os.getpid()}\n"
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.read_text(encoding="ascii")


async def test_the_error_of_a_refused_shared_lock_names_the_file(gate: Path) -> None:
    with pytest.raises(EmbeddedDatabaseError, match=f"{gate} is locked by another program"):
        shared(gate)


async def test_a_link_in_place_of_a_lock_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").touch(mode=0o644)
    (tmp_path / "gate").symlink_to(tmp_path / "target")
    with pytest.raises(EmbeddedDatabaseError, match="cannot be opened"):
        open_lock(tmp_path / "gate")
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o644


@needs_root
async def test_a_lock_file_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gate").touch()
    os.chown(tmp_path / "gate", NOBODY, NOBODY)
    with pytest.raises(EmbeddedDatabaseError, match="is not a file of user 0"):
        open_lock(tmp_path / "gate")


@needs_root
async def test_root_creates_lock_files_for_the_owner_of_the_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    os.close(open_lock(tmp_path / "gate"))
    assert (tmp_path / "gate").stat().st_uid == NOBODY


async def test_a_directory_that_all_users_can_write_is_refused(short_directory: Path) -> None:
    directory = short_directory / "postgres"
    directory.mkdir()
    directory.chmod(0o777)
    with pytest.raises(EmbeddedDatabaseError, match="every user may write in"):
        prepare(directory)


@needs_root
async def test_a_directory_of_another_user_is_refused(short_directory: Path) -> None:
    directory = short_directory / "postgres"
    directory.mkdir()
    os.chown(directory, NOBODY, NOBODY)
    with pytest.raises(EmbeddedDatabaseError, match="belongs to another user"):
        prepare(directory)


async def test_it_starts_if_another_user_has_taken_the_socket_directory(
    short_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user can guess and take the name in a shared directory."""
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(short_directory))
    directory = short_directory / ("d" * 120)
    directory.mkdir()
    cluster = Cluster(directory / "data", Path("/nowhere"), None)
    first = make_socket_directory(cluster, directory)
    assert first.parent == short_directory
    assert make_socket_directory(cluster, directory) == first, "it is our own"
    first.rmdir()
    first.symlink_to(short_directory / "elsewhere")
    second = make_socket_directory(cluster, directory)
    assert second not in {first, directory}
    assert second.stat().st_mode & 0o777 == 0o700


async def test_the_environment_of_libpq_does_not_reach_it(
    short_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    database = await start_embedded(short_directory)
    try:
        connection = await connect(database.url, 5.0)
        assert await connection.fetchval("SELECT current_user") == "postgres"
        await connection.close()
        pool = await open_pool(Settings(), database.url)
        assert await pool.fetchval("SELECT current_database()") == "postgres"
        await pool.close()
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("url", "embedded"),
    [
        (socket_url("/var/lib/delivery/postgres/run"), True),
        (socket_url("/a dir/with & and ?"), True),
        ("postgresql://postgres@/postgres?host=/run/postgresql", False),
        ("postgresql://user:password@host:5432/postgres", False),
        ("postgresql:///x", False),
    ],
)
def test_only_urls_of_embedded_servers_ignore_the_environment(url: str, *, embedded: bool) -> None:
    assert is_embedded(url) is embedded


async def test_commands_use_the_embedded_database_in_every_environment(
    short_directory: Path,
) -> None:
    embedded = ("--set", f"database.embedded_directory={short_directory}")
    ended = await run("doctor", "--json", "--skip-delivery", *embedded, environment=ENVIRONMENT)
    verdicts = {check["check"]: check["verdict"] for check in ended.object["checks"]}
    assert verdicts["database"] == verdicts["notifications"] == verdicts["partitions"] == "ok"
