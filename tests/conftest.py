"""Fixtures for all tests: the event loop, and PostgreSQL.

`DELIVERY_TEST_DATABASE_URL` selects a server; its role must be allowed to create databases. Without
it, the run starts an embedded PostgreSQL in a temporary directory.
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


# On a busy machine, an example and its generation can take long.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that selects the event loop."""
    parser.addoption(
        "--event-loop",
        choices=("uvloop", "asyncio"),
        default="uvloop",
        help="event loop of asynchronous tests",
    )


@pytest.fixture(scope="session")
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Run asyncio on the event loop that `--event-loop` selects."""
    return "asyncio", {"use_uvloop": request.config.getoption("--event-loop") == "uvloop"}


@pytest.fixture(scope="session", autouse=True)
def no_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Isolate tests from the developer's settings and from data in the home directory."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("DELIVERY_") and not name.startswith("DELIVERY_TEST_"):
                patch.delenv(name)
            elif name.startswith("PG") and "DELIVERY_TEST_DATABASE_URL" not in os.environ:
                # Variables of libpq describe another server than that of the tests.
                patch.delenv(name)
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(scope="session")
def database_server() -> Iterator[DatabaseServer]:
    """Provide the server of all databases of this run."""
    url = os.environ.get("DELIVERY_TEST_DATABASE_URL")
    if url:
        with closing(DatabaseServer(url)) as server:
            yield server
        return
    with temporary_directory() as directory, PrivateServer(directory) as private:
        yield DatabaseServer(private.url)


@pytest.fixture
def database_url(database_server: DatabaseServer) -> Iterator[str]:
    """Create a migrated database for the test."""
    with database_server.database() as url:
        yield url


@pytest.fixture
def role_url(database_url: str) -> Iterator[str]:
    """Create a role that may only read and write rows of the test's database."""
    with role_with_rows_only(database_url) as url:
        yield url


@pytest.fixture
def empty_database_url(database_server: DatabaseServer) -> Iterator[str]:
    """Create a database without a schema for the test."""
    with database_server.database(migrated=False) as url:
        yield url


@pytest.fixture
def private_server(short_directory: Path) -> Iterator[PrivateServer]:
    """Run a private PostgreSQL, which the test may `kill()` and `start()` again."""
    with PrivateServer(short_directory) as server:
        yield server


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """Create a directory with a short path that the system user of embedded databases can read."""
    with temporary_directory() as directory:
        yield directory
