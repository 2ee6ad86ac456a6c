"""Fixtures for the tests of the command line."""

from __future__ import annotations

import pytest

from tests.cli.commands import Commands


@pytest.fixture
def commands(database_url: str) -> Commands:
    """Commands on the test's database."""
    return Commands(database_url)
