"""Errors about stored rows, each logged once by a process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging

__all__ = ["LoggedOnce"]

_REMEMBERED: Final = 10_000


class LoggedOnce:
    """Logs each message once, so that a row which is met again and again does not fill the log."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._logged: set[str] = set()

    def error(self, message: str, error: BaseException | None = None) -> None:
        """Log a message at level ERROR, with the traceback of `error` if there is one."""
        if message in self._logged:
            return
        if len(self._logged) >= _REMEMBERED:
            self._logged.clear()
        self._logged.add(message)
        self._logger.error("%s", message, exc_info=error)
