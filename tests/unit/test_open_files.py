"""The budget of open files, and shortages of this machine."""

from __future__ import annotations

import errno
import os
import socket
import ssl

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.engine.concurrency_limit import ConcurrencyLimit, within_files
from delivery.http import connecting, resolver
from delivery.http.local_shortage import (
    LocalShortage,
    is_out_of_files,
    is_out_of_ports,
    is_shortage,
)
from delivery.http.open_files import FileShares, share_files
from delivery.http.resolver import NameResolver
from delivery.settings import WorkerSettings
from tests.support.conditions import until


@given(st.integers(16, 2_000_000), st.integers(3, 500), st.integers(0, 110))
def test_calls_and_lookups_leave_files_for_the_rest_of_the_process(
    limit: int, open_now: int, reserved: int
) -> None:
    shares = share_files(limit, open_now=open_now, reserved=reserved)
    assert shares.sockets >= 1
    assert shares.lookups >= 1
    spare = limit - open_now - reserved - 8
    if spare >= 3:
        assert shares.sockets + 2 * shares.lookups <= spare


@given(st.integers(1, 2_000), st.integers(1, 500), st.integers(0, 5_000))
def test_the_number_of_calls_is_limited_to_the_number_of_sockets(
    sockets: int, concurrency: int, slow: int
) -> None:
    given_settings = WorkerSettings(concurrency=concurrency, slow_concurrency=slow)
    bounded = within_files(given_settings, FileShares(64, sockets, 1))
    assert 1 <= bounded.concurrency <= concurrency
    assert bounded.concurrency + bounded.slow_concurrency <= max(sockets, 1)
    assert bounded.slow_concurrency <= slow


def test_a_reduction_of_concurrency_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    settings = WorkerSettings(concurrency=200, slow_concurrency=1000)
    assert within_files(settings, share_files(None, open_now=9, reserved=9)) is settings
    assert not caplog.text
    bounded = within_files(settings, share_files(64, open_now=12, reserved=10))
    assert bounded.concurrency == 19
    assert "may open 64 files: it makes up to 19 concurrent calls" in caplog.text


@pytest.mark.parametrize(
    ("error", "local"),
    [
        (OSError(errno.EMFILE, "x"), True),
        (OSError(errno.ENFILE, "x"), True),
        (OSError(errno.ENOBUFS, "x"), True),
        (OSError(errno.ENOMEM, "x"), True),
        (OSError(errno.ENETDOWN, "x"), True),
        (LocalShortage("no thread"), True),
        (socket.gaierror(socket.EAI_MEMORY, "x"), True),
        (OSError(errno.EACCES, "x"), False),
        (OSError(errno.EPERM, "x"), False),
        (OSError(errno.ENETUNREACH, "x"), False),
        (OSError(errno.EADDRNOTAVAIL, "x"), False),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), False),
        (socket.gaierror(socket.EAI_NONAME, "x"), False),
        (ssl.SSLError(errno.EMFILE, "a number of OpenSSL's"), False),
        (TimeoutError(), False),
        (UnicodeError(), False),
    ],
)
def test_a_shortage_of_this_machine_is_distinguished_from_a_failure_of_the_endpoint(
    *, error: Exception, local: bool
) -> None:
    assert is_shortage(error) is local
    wrapped = RuntimeError("connection failed")
    wrapped.__cause__ = error
    assert is_shortage(wrapped) is local


def test_the_probes_for_ports_and_files_work() -> None:
    assert is_out_of_ports(socket.AF_INET, "127.0.0.1", 9)
    assert not is_out_of_files()


@pytest.mark.anyio
async def test_a_lookup_without_a_thread_is_a_shortage(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoThread:
        def __init__(self, **_: object) -> None:
            pass

        def start(self) -> None:
            message = "can't start new thread"
            raise RuntimeError(message)

    monkeypatch.setattr(resolver, "Thread", NoThread)
    with pytest.raises(LocalShortage, match="can't start new thread"):
        await NameResolver().addresses("some.example")


@pytest.mark.anyio
async def test_a_failed_lookup_without_files_is_a_shortage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(name: str) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, f"temporary failure: {name}")

    with pytest.raises(socket.gaierror):
        await NameResolver(failing).addresses("some.example")
    monkeypatch.setattr(resolver, "is_out_of_files", lambda: True)
    with pytest.raises(LocalShortage):
        await NameResolver(failing).addresses("some.example")


@pytest.mark.anyio
@pytest.mark.parametrize(("ports_used_up", "kind"), [(True, LocalShortage), (False, OSError)])
async def test_an_unassignable_address_is_a_shortage_if_the_ports_are_used_up(
    monkeypatch: pytest.MonkeyPatch, *, ports_used_up: bool, kind: type[OSError]
) -> None:
    def no_port(*_: object) -> socket.socket:
        raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))

    monkeypatch.setattr(connecting, "is_out_of_ports", lambda *_: ports_used_up)
    monkeypatch.setattr(socket.socket, "setsockopt", no_port)
    with pytest.raises(kind) as caught:
        await connecting._open_one("127.0.0.1", 9)
    assert isinstance(caught.value, LocalShortage) is ports_used_up


@pytest.mark.anyio
async def test_a_burst_of_shortages_halves_the_load_once_and_the_load_recovers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("delivery.engine.concurrency_limit._QUIET", 0.01)
    grown: list[int] = []
    load = ConcurrencyLimit(64, lambda: grown.append(load.limit))
    for _ in range(20):
        load.lower(40, "Too many open files")
    assert load.limit == 20
    assert caplog.text.count("lacks a resource") == 1

    async def is_restored() -> bool:
        return load.limit == 64

    await until(is_restored)
    assert grown == [40, 64]
    load.lower(1, "x")
    assert load.limit == 1
    load.stop()
    await anyio.sleep(0.02)
    assert load.limit == 1
