"""The rate limit for repeated log messages."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from delivery.observe.repeated_logs import RepeatedLogs

if TYPE_CHECKING:
    import pytest

LOGGER = logging.getLogger("delivery.tests.repeated")


def test_a_message_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    logs = RepeatedLogs(LOGGER)
    for message in ("first", "second", "first"):
        logs.error(message, ValueError("why"))
    assert [record.getMessage() for record in caplog.records] == ["first", "second"]
    assert all(record.exc_info for record in caplog.records)


def test_a_message_is_due_again_after_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("delivery.observe.repeated_logs.time.monotonic", lambda: now)
    logs = RepeatedLogs(LOGGER, every=60.0)
    assert logs.is_due("a")
    now += 59.0
    assert not logs.is_due("a")
    assert logs.is_due("b")
    now += 1.0
    assert logs.is_due("a")
    assert not logs.is_due("b")


def test_a_message_is_due_again_after_a_reset() -> None:
    logs = RepeatedLogs(LOGGER)
    assert logs.is_due("a")
    logs.forget()
    assert logs.is_due("a")


def test_only_the_latest_subjects_are_stored() -> None:
    logs = RepeatedLogs(LOGGER)
    assert all(logs.is_due(number) for number in range(10_001))
    assert not logs.is_due(1)
    assert logs.is_due(0)
