"""What is hidden in what is stored and logged, beyond what is hidden anyway."""

from __future__ import annotations

from typing import Annotated

from delivery.settings.section import Field, Section

__all__ = ["RedactionSettings"]


class RedactionSettings(Section):
    """What counts as secret, beside the names that look like it by themselves."""

    names: tuple[Annotated[str, Field(min_length=2, max_length=100)], ...] = ()
    """Names of headers, query keys and JSON keys whose values are never stored, in any case and
    with any separators: `customer-number` also means `customerNumber`."""
    exempt: tuple[Annotated[str, Field(min_length=2, max_length=100)], ...] = ()
    """Names that are no secrets though they look like it, written as in `names`: `page-token`. What
    is stored and shown changes by this, never what is sent."""
