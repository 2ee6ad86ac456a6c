"""Connections, and the errors of failed connections."""

from __future__ import annotations

import socket
import traceback
from typing import TYPE_CHECKING

import asyncpg
import pytest

from delivery.errors import DatabaseUnavailable
from delivery.settings import Settings, load_settings
from delivery.store.driver.connection import connect, open_pool

if TYPE_CHECKING:
    from tests.support.databases import DatabaseServer, PrivateServer

pytestmark = pytest.mark.anyio


async def refused(url: str, timeout: float = 30.0) -> str:
    with pytest.raises(DatabaseUnavailable) as caught:
        await connect(url, timeout)
    return str(caught.value)


async def test_a_pool_serves_statements_in_utc(database_url: str) -> None:
    """The time zone of the session is UTC on any server."""
    async with await open_pool(Settings(), database_url) as pool:
        assert await pool.fetchval("SELECT current_setting('TimeZone')") == "UTC"


async def test_a_pool_is_never_larger_than_its_setting(database_url: str) -> None:
    settings = load_settings(database={"pool_size": 2})
    async with await open_pool(settings, database_url) as pool:
        assert pool.get_max_size() == 2


async def test_a_pool_without_statement_cache_works_too(database_url: str) -> None:
    """The engine needs this setting with an old PgBouncer."""
    settings = load_settings(database={"statement_cache_size": 0})
    async with await open_pool(settings, database_url) as pool:
        assert await pool.fetchval("SELECT $1::int + 1", 1) == 2


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_transaction_left_open_is_rolled_back_when_its_connection_returns(
    database_url: str,
) -> None:
    async with await open_pool(load_settings(database={"pool_size": 2}), database_url) as pool:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("CREATE TABLE kept (id int)")
        connection = await pool.acquire()
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("INSERT INTO kept VALUES (1)")
        await pool.release(connection)
        assert await pool.fetchval("SELECT count(*) FROM kept") == 0


async def test_an_error_names_a_port_without_a_server() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        text = await refused(f"postgresql://me:secret@127.0.0.1:{port}/name")
    assert f"cannot connect to postgresql://me:***@127.0.0.1:{port}/name" in text
    assert "nothing listens there; start PostgreSQL" in text


async def test_an_error_names_a_missing_socket() -> None:
    assert "nothing listens there" in await refused("postgresql:///name?host=/nowhere")


async def test_connecting_to_a_silent_server_fails_after_the_timeout() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        text = await refused(f"postgresql://me@127.0.0.1:{port}/name?sslmode=disable", 0.1)
    assert "no response within 0.1 s" in text


async def test_an_error_names_an_unknown_host() -> None:
    text = await refused("postgresql://me:secret@host.invalid/name")
    assert "the host name cannot be resolved" in text
    assert "secret" not in text


async def test_an_error_names_a_missing_database(database_server: DatabaseServer) -> None:
    text = await refused(database_server.url_of("absent"))
    assert 'database "absent" does not exist; create it' in text


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@host:port/name",
        "postgresql://me:secret@[::1/name",
        "mysql://me:secret@host/name",
        "not a url with secret in it",
    ],
)
async def test_the_error_of_a_malformed_url_has_an_example_and_no_password(url: str) -> None:
    text = await refused(url)
    assert "postgresql://user:password@host:5432/database" in text
    assert ":secret" not in text


async def test_the_error_of_a_wrong_password_does_not_contain_it(
    private_server: PrivateServer,
) -> None:
    connection = await asyncpg.connect(private_server.url)
    await connection.execute("CREATE ROLE me LOGIN PASSWORD 'right'")
    await connection.close()
    private_server.require_passwords("me")
    url = private_server.url.replace("postgres@", "me:wrong-secret@")
    text = await refused(url)
    assert "the password is wrong; correct database.url" in text
    assert "wrong-secret" not in text


async def test_an_error_names_a_missing_role(private_server: PrivateServer) -> None:
    text = await refused(private_server.url.replace("postgres@", "nobody:pw@"))
    assert 'role "nobody" does not exist' in text


async def test_the_error_of_a_full_server_names_the_settings_to_change(
    database_server: DatabaseServer,
    database_url: str,
) -> None:
    name = database_url.partition("?")[0].rpartition("/")[2]
    admin = await asyncpg.connect(database_server.url)
    await admin.execute(f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 0")
    await admin.execute(f"GRANT CONNECT ON DATABASE {name} TO {name}")
    try:
        text = await refused(database_url.replace("postgres@", f"{name}@"))
        assert "raise the server's max_connections, or lower database.pool_size" in text
    finally:
        await admin.execute(f"REVOKE ALL ON DATABASE {name} FROM {name}")
        await admin.execute(f"DROP ROLE {name}")
        await admin.close()


async def test_a_pool_raises_the_errors_of_a_single_connection() -> None:
    with pytest.raises(DatabaseUnavailable, match="nothing listens there"):
        await open_pool(Settings(), "postgresql:///name?host=/nowhere")


async def test_a_short_password_is_not_replaced_within_words() -> None:
    message = await refused("postgresql://bob:no@127.0.0.1:9/none")
    assert "nothing listens there" in message
    assert ":no@" not in message


@pytest.mark.parametrize(
    "password", ["se/cret77", "se?cret77", "se#cret77", "se@cret77", "5/cret77"]
)
async def test_no_part_of_a_password_is_in_the_traceback_of_an_error(password: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        await open_pool(Settings(), f"postgresql://me:{password}@127.0.0.1:9/name")
    text = "".join(traceback.format_exception(caught.value, chain=True))
    assert "cret77" not in text.replace(__file__, "")
    assert "percent-encode" in text


async def test_libpq_parameters_in_the_url_are_not_sent_as_server_settings(
    database_url: str,
) -> None:
    more = "channel_binding=prefer&keepalives=1&gssencmode=disable&connect_timeout=3"
    sign = "&" if "?" in database_url else "?"
    connection = await connect(f"{database_url}{sign}{more}&application_name=mine", 5.0)
    try:
        assert await connection.fetchval("SELECT current_setting('application_name')") == "mine"
    finally:
        await connection.close()
    text = await refused(f"{database_url}{sign}channel_binding=require")
    assert "parameter channel_binding cannot be used as given" in text
