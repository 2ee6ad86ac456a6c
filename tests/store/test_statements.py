"""SQL is kept in files, one statement each."""

from __future__ import annotations

from importlib.resources import files

import pytest

from delivery.store.statements import statement

NAMES = [entry.name.removesuffix(".sql") for entry in (files("delivery.store") / "sql").iterdir()]


@pytest.mark.parametrize("name", NAMES)
def test_every_file_holds_one_statement(name: str) -> None:
    """A second one would make asyncpg refuse to prepare it."""
    text = statement(name)
    assert text
    code = "\n".join(line.partition("--")[0] for line in text.splitlines())
    assert not code.rstrip().endswith(";")
    assert ";" not in code


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(LookupError, match="did you mean 'migrations_lock'"):
        statement("migration_lock")
