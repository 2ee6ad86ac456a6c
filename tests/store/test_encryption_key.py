"""The embedded database has an encryption key, which is generated once."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

import delivery
from delivery.embedded.files import encryption_key
from delivery.errors import EmbeddedDatabaseError
from tests.support.engines import SECRET

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


def test_a_key_is_generated_once_for_the_user_alone(tmp_path: Path) -> None:
    key = encryption_key(tmp_path, is_new=True)
    assert encryption_key(tmp_path, is_new=True) == key
    assert [entry.name for entry in tmp_path.iterdir()] == ["secrets.key"]
    assert stat.S_IMODE((tmp_path / "secrets.key").stat().st_mode) == 0o600


def test_an_invalid_key_is_refused_and_not_replaced(tmp_path: Path) -> None:
    """Another key could not decrypt the existing secrets."""
    path = tmp_path / "secrets.key"
    for content in (b"", b"swordfish\n", b"\xff" * 44):
        path.write_bytes(content)
        with pytest.raises(EmbeddedDatabaseError, match="restore it") as caught:
            encryption_key(tmp_path, is_new=True)
        assert "swordfish" not in str(caught.value)
        assert path.read_bytes() == content
    path.unlink()
    path.mkdir()
    with pytest.raises(EmbeddedDatabaseError, match="cannot be read"):
        encryption_key(tmp_path, is_new=True)


async def test_secrets_in_the_embedded_database_are_encrypted(short_directory: Path) -> None:
    """This needs no setting, and the next start can read the secrets."""
    directory = short_directory / "embedded"
    database = {"embedded_directory": directory}
    partitions = {"days_ahead": 1}
    async with delivery.connect(database=database, partitions=partitions) as engine:
        made = await engine.reactions.create(name="r", url="https://e.test/", secret=SECRET)
        connection = await engine._pool.fetchval("SELECT signing FROM delivery.reactions")
        assert SECRET not in connection
        assert "encrypted:1:" in connection
    async with delivery.connect(database=database, partitions=partitions) as engine:
        found = await engine.reactions.get(made.id, reveal=True)
        assert found.params.secrets == (SECRET,)
    assert (directory / "secrets.key").exists()


def test_a_new_key_for_an_existing_database_logs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encryption_key(tmp_path, is_new=True)
    assert not caplog.text
    (tmp_path / "secrets.key").unlink()
    encryption_key(tmp_path, is_new=False)
    assert "secrets.key was missing and a new key was generated" in caplog.text
