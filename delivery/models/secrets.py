"""The signing secrets of a reaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from delivery.models.enums import SignatureKind

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["SigningSecret"]


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """One of the secrets a reaction signs with."""

    secret: str = field(repr=False)
    """`whsec_…` or `whsk_…`; `***` unless it was asked for."""
    kind: SignatureKind = SignatureKind.V1
    public_key: str | None = None
    """The `whpk_…` that receivers verify with; None with `v1`, where they need the secret."""
    expires_at: datetime | None = None
    """From when it is not used any more, a whole second; None: it stays."""
