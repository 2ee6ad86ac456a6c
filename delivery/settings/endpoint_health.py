"""Settings of endpoint health."""

from __future__ import annotations

from typing import Annotated

from delivery.settings.section import BeforeValidator, Field, Section

__all__ = ["HealthSettings"]

_DAY = 86_400.0


def _none_from_text(value: object) -> object:
    """Convert the word `none`, since environment variables and options are strings."""
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


class HealthSettings(Section):
    """Pauses, circuit breaker and disabling of reactions with failing endpoints."""

    open_failures: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Consecutive failed calls after which the circuit opens and calls are suspended. The first two
    failures of a job do not count, unless it is not retried."""
    open_after: Annotated[float, Field(ge=0, le=_DAY)] = 5.0
    """Minimum time span of these failures in seconds, so that an endpoint can restart."""
    open_at_latest: Annotated[float, Field(ge=0, le=_DAY)] = 60.0
    """Seconds without a success after which the first two failures of a job count as well."""
    probe_after: Annotated[float, Field(gt=0, le=_DAY)] = 2.0
    """Seconds before one call probes the endpoint; doubled after each failed probe."""
    probe_max: Annotated[float, Field(gt=0, le=_DAY)] = 300.0
    """Longest interval between two probes, in seconds."""
    longest_pause: Annotated[float, Field(gt=0, le=_DAY)] = 3_600.0
    """Longest pause that a Retry-After header can request, in seconds."""
    disable_failures: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Minimum number of consecutive failed calls before a reaction is disabled."""
    disable_after: Annotated[
        Annotated[float, Field(gt=0, le=365 * _DAY)] | None, BeforeValidator(_none_from_text)
    ] = 5 * _DAY
    """Seconds without a success before a reaction is disabled; none: never."""
