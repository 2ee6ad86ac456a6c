"""Judges signatures: what a receiver does with every message, before it reads it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from delivery.errors import InvalidInput, InvalidSecret, InvalidSignature
from delivery.message.signing.keys import kind_of, parse_public_key, parse_secret, public_part
from delivery.models import SignatureKind

__all__ = ["Headers", "VerifiedMessage", "verify"]

Headers = (
    Mapping[str, str]
    | Mapping[bytes, bytes]
    | Iterable[tuple[str, str]]
    | Iterable[tuple[bytes, bytes]]
)
"""As frameworks hand them out, ASGI's bytes among them."""

_NAMES: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")
_MOST_SIGNATURES: Final = 64
"""Looked at in one header: one of ed25519 takes 60 µs to verify, and anybody can send them."""
_MOST_DIGITS: Final = 12
"""Of a timestamp, which is enough until the year 33658."""


@dataclass(frozen=True, slots=True)
class VerifiedMessage:
    """What the signature vouches for beside the body."""

    id: str
    """The same for every attempt to deliver a message: who has seen it before may skip it."""
    timestamp: datetime
    """When this attempt was made."""


def verify(
    body: bytes,
    headers: Headers,
    secrets: str | Sequence[str],
    *,
    tolerance: float = 300.0,
    now: float | None = None,
) -> VerifiedMessage:
    """Make sure that a received message was signed with one of the secrets, and lately.

    Needs no engine and no database: it is for receivers.

    Args:
        body: The bytes received, before anything has parsed them.
        headers: The request's, as a mapping or as pairs, in any case of letters.
        secrets: One or several, of any kind: `whsec_…`, or for ed25519 the public key `whpk_…` (or
            the `whsk_…` that it belongs to). While a secret is being replaced, the old and the new.
        tolerance: Seconds the message's timestamp may lie before or after `now`.
        now: Seconds since the epoch; None: this machine's clock.

    Raises:
        InvalidSignature: if the message is not to be trusted; the text says why.
        InvalidSecret: if one of the secrets is not one, or there is none.
        InvalidInput: if the body is not bytes.
    """
    content = _bytes(body)
    symmetric, public = _keys([secrets] if isinstance(secrets, str) else secrets)
    message_id, stamp, given = _read(headers)
    age = (time.time() if now is None else now) - int(stamp)
    # Written so that a tolerance or time of NaN refuses.
    if not abs(age) <= tolerance:
        side = "old" if age > 0 else "far in the future"
        reason = f"the message is {abs(age):.0f} s {side}; {tolerance:.0f} s are tolerated"
        raise InvalidSignature(reason)
    signed = f"{message_id}.{stamp}.".encode("utf-8", "backslashreplace") + content
    hmacs = [hmac.digest(key, signed, hashlib.sha256) for key in symmetric]
    for version, signature in _signatures(given):
        if version == "v1" and any([hmac.compare_digest(signature, own) for own in hmacs]):  # noqa: C419 - all, in equal time
            break
        if version == "v1a" and any(_fits(key, signature, signed) for key in public):
            break
    else:
        reason = (
            "no signature matches: the secret is another one, or the message was changed on its way"
        )
        raise InvalidSignature(reason)
    return VerifiedMessage(message_id, datetime.fromtimestamp(int(stamp), UTC))


def _bytes(body: object) -> bytes:
    if not isinstance(body, (bytes, bytearray, memoryview)):
        message = f"the body is a {type(body).__name__}; give the bytes as they were received"
        raise InvalidInput(message)
    return bytes(body)


def _keys(secrets: Sequence[str]) -> tuple[list[bytes], list[Ed25519PublicKey]]:
    symmetric: list[bytes] = []
    public: list[Ed25519PublicKey] = []
    for secret in secrets:
        if secret.startswith("whpk_"):
            public.append(Ed25519PublicKey.from_public_bytes(parse_public_key(secret)))
        elif kind_of(secret) is SignatureKind.V1A:
            seed = parse_secret(secret)
            public.append(Ed25519PublicKey.from_public_bytes(public_part(seed)))
        else:
            symmetric.append(parse_secret(secret))
    if not symmetric and not public:
        message = "there is no secret to verify with"
        raise InvalidSecret(message)
    return symmetric, public


def _read(headers: Headers) -> tuple[str, str, str]:
    """The values of the three headers."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    given = {_text(name).lower(): _text(value) for name, value in pairs}
    for name in _NAMES:
        if not given.get(name):
            reason = f"the header {name} is missing"
            raise InvalidSignature(reason)
    message_id, stamp, signatures = (given[name] for name in _NAMES)
    if not (stamp.isascii() and stamp.isdecimal() and len(stamp) <= _MOST_DIGITS):
        reason = "the header webhook-timestamp is not a number of seconds since the epoch"
        raise InvalidSignature(reason)
    return message_id, stamp, signatures


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _signatures(header: str) -> list[tuple[str, bytes]]:
    """The version and bytes of each signature; what cannot be read is left out."""
    found: list[tuple[str, bytes]] = []
    for each in header.split(" ", _MOST_SIGNATURES)[:_MOST_SIGNATURES]:
        version, _, encoded = each.partition(",")
        try:
            found.append((version, base64.b64decode(encoded, validate=True)))
        except (binascii.Error, ValueError):
            continue
    return found


def _fits(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except WrongSignature:
        return False
    return True
