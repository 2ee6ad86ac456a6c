"""Signatures by Standard Webhooks (standardwebhooks.com), scheme `v1`.

What is signed is `id.timestamp.body`, with HMAC-SHA256 (RFC 2104) under the bytes that the secret
encodes; the header `webhook-signature` holds one `v1,<base64>` for each secret, separated by
spaces, so that receivers accept either secret while one replaces the other.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets as randomness
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from delivery.errors import InvalidSecret

__all__ = ["Signer", "generate_secret", "parse_secret", "verify"]

_PREFIX: Final = "whsec_"
_FEWEST_BYTES: Final = 24
_MOST_BYTES: Final = 64
_GENERATED_BYTES: Final = 32

# RFC 2104: the key, filled up to a block of the hash, XORed with one byte or the other.
_BLOCK: Final = 64
_INNER_PAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD: Final = bytes(byte ^ 0x5C for byte in range(256))


def generate_secret() -> str:
    """A new secret of 32 random bytes: `whsec_` and base64."""
    return _PREFIX + base64.b64encode(randomness.token_bytes(_GENERATED_BYTES)).decode()


def parse_secret(text: str) -> bytes:
    """The key that a secret encodes: `whsec_` and base64, padded or not, of 24 to 64 bytes.

    Raises:
        InvalidSecret: if it is not; the text never contains the secret.
    """
    if not text.startswith(_PREFIX):
        kind = " (whsk_ and whpk_ are keys of another scheme)" if text[:2] == "wh" else ""
        message = (
            f"a signing secret must start with {_PREFIX}{kind}; generate one, or add the prefix"
        )
        raise InvalidSecret(message)
    encoded = text.removeprefix(_PREFIX).rstrip("=")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        message = f"the part of the signing secret after {_PREFIX} is not base64; copy it again"
        raise InvalidSecret(message) from None
    if not _FEWEST_BYTES <= len(key) <= _MOST_BYTES:
        message = (
            f"the signing secret encodes {len(key)} bytes; it must encode"
            f" {_FEWEST_BYTES} to {_MOST_BYTES} random bytes"
        )
        raise InvalidSecret(message)
    return key


class Signer:
    """Signs messages with one or more secrets.

    Both padded keys of each HMAC are hashed once, here; a signature then costs half of what
    `hmac.digest` takes for a message of 1 KB.

    Args:
        secrets: `whsec_…`, at least one, newest first.

    Raises:
        InvalidSecret: if one is not a secret, or there is none.
    """

    __slots__ = ("_keys",)

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            message = "there is no signing secret to sign with"
            raise InvalidSecret(message)
        blocks = [parse_secret(secret).ljust(_BLOCK, b"\0") for secret in secrets]
        self._keys = [
            (
                hashlib.sha256(block.translate(_INNER_PAD)),
                hashlib.sha256(block.translate(_OUTER_PAD)),
            )
            for block in blocks
        ]

    def sign(self, message_id: str, timestamp: int, body: bytes) -> bytes:
        """The value of `webhook-signature`; `timestamp` is in whole seconds since the epoch."""
        start = f"{message_id}.{timestamp}.".encode()
        signatures = []
        for inner_key, outer_key in self._keys:
            inner = inner_key.copy()
            inner.update(start)
            inner.update(body)
            outer = outer_key.copy()
            outer.update(inner.digest())
            signatures.append(b"v1," + binascii.b2a_base64(outer.digest(), newline=False))
        return b" ".join(signatures)


def verify(
    secrets: Sequence[str],
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    body: bytes,
    *,
    now: float,
    tolerance: float = 300.0,
) -> str | None:
    """Whether a received message was signed with one of the secrets: None, or why it is refused.

    Args:
        secrets: `whsec_…`, at least one.
        headers: The request's, in any case of letters.
        body: The bytes received.
        now: Seconds since the epoch.
        tolerance: Seconds the message's timestamp may lie before or after `now`.

    Raises:
        InvalidSecret: if one of the secrets is not one.
    """
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    given = {name.lower(): value for name, value in pairs}
    missing = [
        name
        for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
        if not given.get(name)
    ]
    if missing:
        return f"the header {missing[0]} is missing"
    stamp = given["webhook-timestamp"]
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= 12):  # noqa: PLR2004 - year 33658
        return "the header webhook-timestamp is not a number of seconds since the epoch"
    age = now - int(stamp)
    if abs(age) > tolerance:
        side = "old" if age > 0 else "far in the future"
        return f"the message is {abs(age):.0f} s {side}; {tolerance:.0f} s are tolerated"
    expected = Signer(secrets).sign(given["webhook-id"], int(stamp), body).split(b" ")
    received = [
        signature.encode("ascii", "replace") for signature in given["webhook-signature"].split(" ")
    ]
    if any(hmac.compare_digest(one, other) for one in expected for other in received):
        return None
    return "no signature matches: the secret is another one, or the message was changed on its way"
