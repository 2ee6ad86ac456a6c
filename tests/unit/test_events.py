"""The event bus: listeners of events, and isolation of their errors."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from delivery.engine.events import EventBus
from tests.support.raw_servers import until

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, slots=True)
class Opened:
    """An event."""

    number: int


@dataclass(frozen=True, slots=True)
class Closed:
    """An event of another type."""

    number: int


async def test_listeners_receive_the_events_of_their_type_in_order() -> None:
    bus = EventBus()
    received: list[object] = []
    bus.on(Opened, lambda event: received.append(("first", event.number)))
    bus.on(Opened, lambda event: received.append(("second", event.number)))
    bus.on(Closed, received.append)
    bus.emit(Opened(1))
    bus.emit(Closed(2))
    assert received == [("first", 1), ("second", 1), Closed(2)]


async def test_a_failing_listener_affects_neither_the_emitter_nor_other_listeners(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = EventBus()
    received: list[Opened] = []

    def fail(event: Opened) -> None:
        raise LookupError(event.number)

    async def fail_later(event: Opened) -> None:
        if event.number == 1:
            raise LookupError(event.number)
        received.append(event)

    bus.on(Opened, fail)
    bus.on(Opened, fail_later)
    bus.on(Opened, received.append)
    bus.emit(Opened(1))
    bus.emit(Opened(2))
    assert received == [Opened(1), Opened(2)]
    await until(lambda: len(received) == 3)
    assert received[-1] == Opened(2), "the next event of the asynchronous listener"
    failures = [record for record in caplog.records if "failed" in record.message]
    assert len(failures) == 3
    assert all(record.exc_info for record in failures)
    await bus.aclose()


async def test_a_listener_can_end_its_subscription_during_its_call() -> None:
    bus = EventBus()
    received: list[Opened] = []

    def once(event: Opened) -> None:
        received.append(event)
        unsubscribe()

    unsubscribe = bus.on(Opened, once)
    bus.on(Opened, received.append)
    bus.emit(Opened(1))
    bus.emit(Opened(2))
    assert received == [Opened(1), Opened(1), Opened(2)]
    unsubscribe()
    assert bus.listens(Opened)


async def test_an_asynchronous_listener_receives_events_in_sequence() -> None:
    bus = EventBus()
    order: list[str] = []
    may_end = asyncio.Event()

    async def listen(event: Opened) -> None:
        order.append(f"begin {event.number}")
        await may_end.wait()
        order.append(f"end {event.number}")

    bus.on(Opened, listen)
    bus.emit(Opened(1))
    bus.emit(Opened(2))
    await until(lambda: order == ["begin 1"])
    may_end.set()
    await bus.aclose()
    assert order == ["begin 1", "end 1", "begin 2", "end 2"]


async def test_a_slow_listener_loses_events_beyond_a_limit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus = EventBus()
    received = []

    async def listen(event: Opened) -> None:
        received.append(event)

    bus.on(Opened, listen)
    for number in range(1_500):
        bus.emit(Opened(number))
    await bus.aclose()
    assert received == [Opened(number) for number in range(1_000)]
    assert len([each for each in caplog.messages if "too slow" in each]) == 1


async def test_closing_cancels_listeners_that_do_not_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("delivery.engine.events._LAST_EVENTS", 0.05)
    bus = EventBus()
    cancelled = []

    async def hang(event: Opened) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(event)
            raise

    bus.on(Opened, hang)
    bus.emit(Opened(1))
    bus.emit(Opened(2))
    await bus.aclose()
    assert cancelled == [Opened(1)]
    assert any("cancelled" in each for each in caplog.messages)


async def test_a_parent_receives_the_events_of_its_children_and_not_the_reverse() -> None:
    parent = EventBus()
    child = EventBus(parent)
    received: list[tuple[str, Opened]] = []
    assert not child.listens(Opened)
    parent.on(Opened, lambda event: received.append(("parent", event)))
    assert child.listens(Opened)
    child.on(Opened, lambda event: received.append(("child", event)))
    child.emit(Opened(1))
    parent.emit(Opened(2))
    assert received == [("child", Opened(1)), ("parent", Opened(1)), ("parent", Opened(2))]
