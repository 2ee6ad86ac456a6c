"""How reactions are slowed, stopped and disabled whose endpoints do not answer well."""

from __future__ import annotations

from typing import Annotated

from delivery.settings.section import BeforeValidator, Field, Section

__all__ = ["HealthSettings"]

_DAY = 86_400.0


def _none_from_text(value: object) -> object:
    """Read the word `none`: environment variables and command-line options are always text."""
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


class HealthSettings(Section):
    """When a reaction is slowed, stopped for a while, or disabled because of its endpoint."""

    open_failures: Annotated[int, Field(ge=1, le=1_000_000)] = 10
    """Failed calls in a row after which the circuit opens: no more calls for a while. The first two
    failures of a job do not count, unless it is not tried again."""
    open_after: Annotated[float, Field(ge=0, le=_DAY)] = 5.0
    """Seconds that these failures must span at least, so that a restart of an endpoint is borne."""
    open_at_latest: Annotated[float, Field(ge=0, le=_DAY)] = 60.0
    """Seconds of nothing but failures after which the first two failures of a job count too."""
    probe_after: Annotated[float, Field(gt=0, le=_DAY)] = 2.0
    """Seconds after which one call tries if the endpoint is back; doubled each time it is not."""
    probe_max: Annotated[float, Field(gt=0, le=_DAY)] = 300.0
    """The longest time between two such calls."""
    longest_pause: Annotated[float, Field(gt=0, le=_DAY)] = 3_600.0
    """Seconds for which an endpoint can have its reaction paused by Retry-After, at most."""
    disable_failures: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Failed calls in a row, at least, after which a reaction is disabled."""
    disable_after: Annotated[
        Annotated[float, Field(gt=0, le=365 * _DAY)] | None, BeforeValidator(_none_from_text)
    ] = 5 * _DAY
    """Seconds for which all calls must have failed before it is; none: never."""
