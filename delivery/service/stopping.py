"""Graceful stop of commands by signals."""

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
    """Call `stop` on Ctrl-C and SIGTERM during the block, instead of ending the program.

    This requires the main thread and a running event loop.
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
            # The event loop restores the default handler, but the program may have had its own.
            signal.signal(number, before[number])
