"""Signers of messages."""

from __future__ import annotations

import binascii
import hashlib
from math import inf
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from delivery.errors import InvalidInput, InvalidSecret
from delivery.message.signing.keys import kind_of, parse_secret
from delivery.message.signing.message_id import ALLOWED_IDS, is_message_id
from delivery.models import SignatureKind

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ExpiringSigner", "Signer"]

# RFC 2104: the key, padded to a block of the hash, XORed with one byte or the other.
_BLOCK: Final = 64
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))


class Signer:
    """Signer with one or more secrets.

    The constructor hashes both padded keys of each HMAC. A signature of 1 KB then costs half of
    `hmac.digest`. An ed25519 signature costs 20 µs.

    Args:
        secrets: `whsec_…` or `whsk_…`, at least one, newest first.

    Raises:
        InvalidSecret: if a secret is invalid, or there is none.
    """

    __slots__ = ("_keys", "_private_keys")

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            message = "there is no signing secret; give at least one"
            raise InvalidSecret(message)
        keys = [(kind_of(secret), parse_secret(secret)) for secret in secrets]
        blocks = [key.ljust(_BLOCK, b"\0") for kind, key in keys if kind is SignatureKind.V1]
        self._keys = [
            (
                hashlib.sha256(block.translate(_INNER_PAD)),
                hashlib.sha256(block.translate(_OUTER_PAD)),
            )
            for block in blocks
        ]
        self._private_keys = [
            Ed25519PrivateKey.from_private_bytes(key)
            for kind, key in keys
            if kind is SignatureKind.V1A
        ]

    def sign(self, message_id: str, timestamp: int, body: bytes) -> bytes:
        """Return the value of `webhook-signature`: `v1` first, then `v1a`, each in the given order.

        `timestamp` is in whole seconds since the epoch.

        Raises:
            InvalidInput: if the signature would be valid for other ids or timestamps.
        """
        if not is_message_id(message_id) or timestamp < 0:
            reason = f"a message id must be {ALLOWED_IDS}, and a timestamp must not be negative"
            raise InvalidInput(reason)
        start = f"{message_id}.{timestamp}.".encode()
        signatures = []
        for inner_key, outer_key in self._keys:
            inner = inner_key.copy()
            inner.update(start)
            inner.update(body)
            outer = outer_key.copy()
            outer.update(inner.digest())
            signatures.append(b"v1," + binascii.b2a_base64(outer.digest(), newline=False))
        if self._private_keys:
            message = start + body
            signatures += [
                b"v1a," + binascii.b2a_base64(key.sign(message), newline=False)
                for key in self._private_keys
            ]
        return b" ".join(signatures)


class ExpiringSigner:
    """Signer that uses each secret until it expires.

    Args:
        secrets: Secrets with their expiry in seconds since the epoch; None: no expiry. The first
            secret never expires, so that each message is signed.

    Raises:
        InvalidSecret: if a secret is invalid, or there is none.
    """

    __slots__ = ("_left", "_signer", "_until")

    def __init__(self, secrets: Sequence[tuple[str, float | None]]) -> None:
        self._left = list(secrets)
        self._signer = Signer([secret for secret, _ in secrets])
        self._until = _soonest(self._left)

    def sign(self, message_id: str, timestamp: int, body: bytes) -> bytes:
        """Return the value of `webhook-signature` at a time in whole seconds since the epoch."""
        if timestamp >= self._until:
            first, *others = self._left
            self._left = [first, *(each for each in others if (each[1] or inf) > timestamp)]
            self._signer = Signer([secret for secret, _ in self._left])
            self._until = _soonest(self._left)
        return self._signer.sign(message_id, timestamp, body)


def _soonest(secrets: Sequence[tuple[str, float | None]]) -> float:
    return min((time for _, time in secrets[1:] if time is not None), default=inf)
