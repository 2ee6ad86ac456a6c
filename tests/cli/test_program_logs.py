"""The program's log messages on standard error, as text or JSON."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from typing import TYPE_CHECKING

import pytest

from delivery.observe.logs import configure_logging
from delivery.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("delivery.test")


@pytest.fixture(autouse=True)
def logging_restored() -> Iterator[None]:
    """Restore the logging configuration after the test."""
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
def test_commands_log_only_warnings_by_default(
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


@pytest.mark.parametrize("form", ["text", "json"])
def test_messages_cannot_control_a_terminal_or_forge_a_line(
    capsys: pytest.CaptureFixture[str],
    form: str,
) -> None:
    configure_logging(load_settings(log={"format": form}), verbose=True)
    logger.warning("got %s", "\x1b[2J\x9b31m\u202e\udc80\r\nforged \x7f")
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", err)
    if form == "json":
        assert json.loads(err)["message"] == "got \x1b[2J\x9b31m\u202e\ufffd\r\nforged \x7f"


def test_json_is_ascii_where_the_stream_is_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, "latin-1", "backslashreplace"))
    configure_logging(load_settings(log={"format": "json"}), verbose=True)
    logger.warning("größer €")
    sys.stderr.flush()
    assert json.loads(written.getvalue().decode("ascii"))["message"] == "größer €"
