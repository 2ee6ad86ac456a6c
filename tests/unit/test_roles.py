"""Background roles: restarts, logged errors, and a bounded end."""

from __future__ import annotations

import asyncio

import pytest

from delivery.engine import roles as roles_module
from delivery.engine.roles import RoleGroup
from tests.support.raw_servers import until

pytestmark = pytest.mark.anyio


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def test_a_failing_role_is_logged_immediately_and_restarted_after_growing_pauses(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(roles_module, "_FIRST_PAUSE", 0.01)
    starts: list[None] = []

    async def fail() -> None:
        starts.append(None)
        raise LookupError(len(starts))

    async with RoleGroup() as roles:
        other = roles.start("other", forever)
        roles.start("reader", fail)
        await until(lambda: len(starts) == 4)
        assert not other.done(), "an error of one role does not stop another"
    failures = [record for record in caplog.records if "reader failed" in record.message]
    assert [record.args for record in failures] == [
        ("reader", pause) for pause in (0.01, 0.02, 0.04, 0.08)
    ]
    assert all(record.exc_info for record in failures)


async def test_an_error_after_a_long_run_counts_as_a_first_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(roles_module, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(roles_module, "_STABLE_AFTER", 0.0)
    starts: list[None] = []

    async def fail() -> None:
        starts.append(None)
        raise LookupError

    async with RoleGroup() as roles:
        roles.start("reader", fail)
        await until(lambda: len(starts) == 5)
    assert {record.args for record in caplog.records if "failed" in record.message} == {
        ("reader", 0.01)
    }


async def test_a_role_that_returns_is_not_restarted() -> None:
    starts: list[None] = []

    async def once() -> None:
        starts.append(None)

    async with RoleGroup() as roles:
        await roles.start("once", once)
        assert starts == [None]


async def test_single_roles_end_before_the_others() -> None:
    async with RoleGroup() as roles:
        first, second = roles.start("first", forever), roles.start("second", forever)
        assert first.get_name() == "delivery: first"
        await roles.end("first")
        assert first.cancelled()
        assert not second.done()
    assert second.cancelled()


async def test_a_role_that_does_not_end_is_reported_and_abandoned(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(roles_module, "_END", 0.05)
    may_end = asyncio.Event()

    async def stubborn() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            await may_end.wait()
            raise

    async with RoleGroup() as roles:
        task = roles.start("stubborn", stubborn)
        await asyncio.sleep(0)
    assert any("stubborn does not end" in each for each in caplog.messages)
    may_end.set()
    await asyncio.wait([task])
