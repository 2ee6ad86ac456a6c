"""The program's own messages go to standard error, as people or programs read them."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from delivery.observe.logs import configure_logging
from delivery.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("delivery.test")


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """Leave the logging of the other tests as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_as_json_a_message_is_an_object_with_its_traceback(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging(load_settings(log={"format": "json"}), verbose=True)
    try:
        int("many")
    except ValueError:
        logger.exception("two\nlines of %d", 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    entry = json.loads(err)
    assert entry["time"].endswith("Z")
    assert (entry["level"], entry["logger"]) == ("error", "delivery.test")
    assert entry["message"] == "two\nlines of 2"
    assert "ValueError" in entry["exception"]


@pytest.mark.parametrize(
    ("log", "verbose", "shown"),
    [
        ({}, False, "warning"),
        ({}, True, "info warning"),
        ({"level": "info"}, False, "info warning"),
        ({"level": "debug"}, False, "debug info warning"),
        ({"level": "error"}, True, ""),
    ],
)
def test_commands_only_warn_unless_they_are_about_it_or_somebody_asked(
    capsys: pytest.CaptureFixture[str],
    log: dict[str, str],
    verbose: bool,  # noqa: FBT001 - a parameter of the test
    shown: str,
) -> None:
    configure_logging(load_settings(log=log), verbose=verbose)
    for word in ("debug", "info", "warning"):
        logger.log(logging.getLevelName(word.upper()), word)
    written = capsys.readouterr().err.splitlines()
    assert [line.rsplit(": ")[-1] for line in written] == shown.split()
