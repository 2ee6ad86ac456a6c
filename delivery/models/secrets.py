"""Signing secrets of a reaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from delivery.models.enums import SignatureKind

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["SigningSecret"]


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """Signing secret of a reaction."""

    secret: str = field(repr=False)
    """`whsec_…` or `whsk_…`. `***` unless it was requested."""
    kind: SignatureKind = SignatureKind.V1
    public_key: str | None = None
    """Public key `whpk_…` for receivers. None for `v1`, where receivers need the secret."""
    expires_at: datetime | None = None
    """Time in whole seconds from which the secret is no longer used. None for no end."""
