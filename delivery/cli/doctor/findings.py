"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Verdict"]


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, but somebody should know."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """It could not be done, because of another, or was not asked for."""

    @property
    def mark(self) -> str:
        """One character for people."""
        return {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "-"}[self.value]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's table."""

    check: str
    verdict: Verdict
    detail: str
    advice: str | None = None
    """What to do, if anything."""
