"""The demo's progress: bars in a terminal, periodic lines elsewhere, nothing with `--json`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from delivery.cli.demo.scenario import ENDPOINTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from delivery.cli.render import Output

__all__ = ["ProgressView"]

_LINE_EVERY: Final = 2.0
_BAR: Final = 24


class ProgressView:
    """A display of the requests to each endpoint, for the length of its `with` block lasts.

    Args:
        output: Output of the command.
        jobs: Number of jobs per endpoint.
    """

    def __init__(self, output: Output, jobs: int) -> None:
        self._output = output
        self._jobs = jobs
        self._started = time.monotonic()
        self._last_line = self._started
        live = output.is_terminal and not output.as_json
        self._live = Live(console=Console(soft_wrap=True), transient=True) if live else None

    def __enter__(self) -> Self:
        """Start the display."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the bars."""
        if self._live is not None:
            self._live.stop()

    def update(self, calls: Mapping[str, int]) -> None:
        """Update the number of requests that each path received."""
        now = time.monotonic()
        if self._live is not None:
            self._live.update(self._table(calls, now - self._started))
        elif not self._output.as_json and now - self._last_line >= _LINE_EVERY:
            self._last_line = now
            self._output.line(f"{sum(calls.values()):,} calls after {now - self._started:.0f} s")

    def _table(self, calls: Mapping[str, int], elapsed: float) -> Table:
        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", style="dim")
        for endpoint in ENDPOINTS:
            done = calls.get(endpoint.path, 0)
            if endpoint.calls is None:
                table.add_row(endpoint.name, "", f"{done:,}", endpoint.does)
                continue
            total = self._jobs * endpoint.calls
            bar = ProgressBar(
                total=total,
                completed=done,
                width=_BAR,
                complete_style="cyan",
                finished_style="green",
            )
            table.add_row(endpoint.name, bar, f"{done:,} of {total:,}", endpoint.does)
        total_calls = sum(calls.values())
        rate = f"{total_calls / elapsed:,.0f}/s" if elapsed > 1 else ""
        table.add_row("calls", "", f"{total_calls:,}", f"{elapsed:.0f} s  {rate}")
        return table
