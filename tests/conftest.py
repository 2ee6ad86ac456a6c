"""Fixtures for all tests: the event loop, and PostgreSQL.

`DELIVERY_TEST_DATABASE_URL` names a server to use, with a role that may create databases. Without
it an embedded PostgreSQL is started for the run, in a temporary directory of its own.
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests.support.databases import (
    DatabaseServer,
    PrivateServer,
    role_with_rows_only,
    temporary_directory,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# A busy machine can take long for an example, or to generate one.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the event loop be chosen."""
    parser.addoption(
        "--event-loop",
        choices=("uvloop", "asyncio"),
        default="uvloop",
        help="event loop that async tests run on",
    )


@pytest.fixture(scope="session")
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Asyncio, on the event loop that `--event-loop` chose."""
    return "asyncio", {"use_uvloop": request.config.getoption("--event-loop") == "uvloop"}


@pytest.fixture(scope="session", autouse=True)
def no_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the developer's own settings, and the data in their home, out of every test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("DELIVERY_") and not name.startswith("DELIVERY_TEST_"):
                patch.delenv(name)
            elif name.startswith("PG") and "DELIVERY_TEST_DATABASE_URL" not in os.environ:
                # What libpq's environment says of a server is not about that of the tests.
                patch.delenv(name)
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session")
def database_server() -> Iterator[DatabaseServer]:
    """The server that all databases of this run are made on."""
    url = os.environ.get("DELIVERY_TEST_DATABASE_URL")
    if url:
        with closing(DatabaseServer(url)) as server:
            yield server
        return
    with temporary_directory() as directory, PrivateServer(directory) as private:
        yield DatabaseServer(private.url)


@pytest.fixture
def database_url(database_server: DatabaseServer) -> Iterator[str]:
    """A migrated database of the test's own."""
    with database_server.database() as url:
        yield url


@pytest.fixture
def role_url(database_url: str) -> Iterator[str]:
    """The same database, for a role that may read and write its rows and nothing else."""
    with role_with_rows_only(database_url) as url:
        yield url


@pytest.fixture
def empty_database_url(database_server: DatabaseServer) -> Iterator[str]:
    """A database of the test's own without a schema."""
    with database_server.database(migrated=False) as url:
        yield url


@pytest.fixture
def private_server(short_directory: Path) -> Iterator[PrivateServer]:
    """A running PostgreSQL of the test's own, which it may `kill()` and `start()` again."""
    with PrivateServer(short_directory) as server:
        yield server


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A directory for embedded databases: with a short path, and open to their system user."""
    with temporary_directory() as directory:
        yield directory
