"""Validation of ed25519 public keys (RFC 8032, 5.1).

With a key of small order, anyone can create a signature that is valid for many messages. A key with
a non-canonical encoding, or that is not a point of the curve, does not come from a key generator.
"""

from __future__ import annotations

from typing import Final

__all__ = ["is_safe_public_key"]

_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_ONE: Final = pow(2, (_P - 1) // 4, _P)
_SIGN: Final = 1 << 255
_DOUBLINGS_OF_SMALL_ORDER: Final = 3
"""Doublings that take points of small order to zero: the torsion subgroup has order 8."""


def is_safe_public_key(key: bytes) -> bool:
    """Return True if 32 bytes are the canonical encoding of a point of large order."""
    encoded = int.from_bytes(key, "little")
    y = encoded & ~_SIGN
    if y >= _P:
        return False
    x = _x_of(y)
    if x is None or (x == 0 and encoded & _SIGN):
        return False
    for _ in range(_DOUBLINGS_OF_SMALL_ORDER):
        x, y = _doubled(x, y)
    return (x, y) != (0, 1)


def _x_of(y: int) -> int | None:
    """Return one of the two x of a y (RFC 8032, 5.1.3); None if no point has this y."""
    u = (y * y - 1) % _P
    v = (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    square = v * x * x % _P
    if square == u:
        return x
    return x * _ROOT_OF_MINUS_ONE % _P if square == -u % _P else None


def _doubled(x: int, y: int) -> tuple[int, int]:
    """Add a point to itself with the complete addition law."""
    product = _D * x * x * y * y % _P
    return (
        2 * x * y * pow(1 + product, -1, _P) % _P,
        (y * y + x * x) * pow(1 - product, -1, _P) % _P,
    )
