"""Statistics over many measurements."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["median_of", "percentile", "spread_ms"]


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that `percent` percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]


def spread_ms(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """Return median, 99th percentile and maximum in milliseconds, with `name` as key prefix."""
    return {
        f"{name}_p50_ms": round(percentile(seconds, 50) * 1000, 2),
        f"{name}_p99_ms": round(percentile(seconds, 99) * 1000, 2),
        f"{name}_max_ms": round(max(seconds) * 1000, 2),
    }


def median_of(runs: Sequence[dict[str, float]], name: str) -> float:
    """Return the median of one figure over several runs."""
    return median(run[name] for run in runs)
