"""Lets a command that goes on until it is told to stop end well when it is."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["when_told_to_stop"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def when_told_to_stop(stop: Callable[[], None]) -> Iterator[None]:
    """While the block lasts, Ctrl-C and SIGTERM call `stop` instead of ending the program.

    To be used in the main thread, on a running loop.
    """
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            # The loop leaves Python's default, but whoever runs the loop may have had its own.
            signal.signal(number, before[number])
