"""Settings of redaction in stored and logged data."""

from __future__ import annotations

from typing import Annotated

from delivery.settings.section import Field, Section

__all__ = ["RedactionSettings"]


class RedactionSettings(Section):
    """Names of secret values, in addition to the built-in ones."""

    names: tuple[Annotated[str, Field(min_length=2, max_length=100)], ...] = ()
    """Names of headers, query keys and JSON keys whose values are never stored, in any case and
    with any separators: `customer-number` also means `customerNumber`."""
    exempt: tuple[Annotated[str, Field(min_length=2, max_length=100)], ...] = ()
    """Names to treat as not secret, in the form used by `names`: `page-token`. Affects storage and
    display, never requests."""
