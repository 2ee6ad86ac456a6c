"""Log output on standard error, as text or JSON."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from delivery.observe.secret_filter import register_secrets, scrub_secrets
from delivery.rendering import dump_json, escape_controls, iso_time, writes_utf8
from delivery.settings import passwords_in

if TYPE_CHECKING:
    from delivery.settings import Settings

__all__ = ["configure_logging"]


def configure_logging(settings: Settings, *, verbose: bool) -> None:
    """Configure logging by `log.level` and `log.format`.

    Args:
        settings: Settings of the program.
        verbose: Log from `info` on by default, instead of `warning`. `log.level` takes precedence.
    """
    if settings.database.url is not None:
        register_secrets(passwords_in(settings.database.url))
    level = settings.log.level.upper()
    if not verbose and settings.origin("log", "level") == "default":
        level = "WARNING"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if settings.log.format == "json" else _Text())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # asyncpg logs a traceback for every failed connection. The engine logs one line.
    logging.getLogger("asyncpg").setLevel("DEBUG" if level == "DEBUG" else "ERROR")


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - name in `logging`
        # A message may contain external text, in which a line break would forge lines of the log.
        return super().formatMessage(record).replace("\n", "\\n")

    def format(self, record: logging.LogRecord) -> str:
        return escape_controls(scrub_secrets(super().format(record)))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": iso_time(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return scrub_secrets(dump_json(entry, ascii_only=not writes_utf8(sys.stderr)))
