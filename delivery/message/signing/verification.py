"""Verification of signatures by receivers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from delivery.errors import InvalidInput, InvalidSecret, InvalidSignature, SignatureProblem
from delivery.message.signing.keys import kind_of, parse_public_key, parse_secret, public_part
from delivery.message.signing.message_id import ALLOWED_IDS, is_message_id
from delivery.models import SignatureKind

__all__ = ["Headers", "VerifiedMessage", "verify"]


class HasItems(Protocol):
    """Headers of a web framework. A name can occur several times in `items`."""

    def items(self) -> Iterable[tuple[Any, Any]]:
        """Return pairs of name and value."""


Headers = (
    Mapping[str, str]
    | Mapping[str, Sequence[str]]
    | Mapping[bytes, bytes]
    | HasItems
    | Iterable[tuple[str, str]]
    | Iterable[tuple[bytes, bytes]]
)
"""Headers of common web frameworks, including the bytes of ASGI. A value can be a list."""

_Key: TypeAlias = bytes | Ed25519PublicKey

_ID: Final = "webhook-id"
_TIMESTAMP: Final = "webhook-timestamp"
_SIGNATURE: Final = "webhook-signature"
_NAMES: Final = frozenset({_ID, _TIMESTAMP, _SIGNATURE})
_VERSION: Final = re.compile(r"v[0-9]{1,3}[a-z]?")
_MOST_SIGNATURES: Final = 64
"""Maximum number of verified signatures per message. Each ed25519 signature costs 60 µs."""
_MOST_LINES: Final = 1_000
"""Maximum number of header lines that are read."""
_LATEST: Final = 253_402_300_799
"""Last second of the year 9999, the latest date of Python."""
_MOST_DIGITS: Final = len(str(_LATEST))


@dataclass(frozen=True, slots=True)
class VerifiedMessage:
    """Signed data of a message, except the body."""

    id: str
    """Id of the message, equal for all attempts. Receivers can use it to skip duplicates."""
    timestamp: datetime
    """Time of the attempt."""
    secret_index: int = 0
    """Index of the matching secret among the given secrets."""


def verify(
    body: bytes,
    headers: Headers,
    secrets: str | Sequence[str],
    *,
    tolerance: float = 300.0,
    now: float | None = None,
) -> VerifiedMessage:
    """Verify that a received message was signed recently with one of the secrets.

    Receivers call this function; it needs no engine and no database.

    Args:
        body: Received bytes, before parsing.
        headers: Headers of the request as a mapping or as pairs. Case is ignored. A header can
            occur several times; all its signatures count.
        secrets: One or several secrets: `whsec_…`, or the public key `whpk_…` of an ed25519 key (or
            its private key `whsk_…`). Give the old and the new secret during a rotation.
        tolerance: Maximum difference between the message's timestamp and `now`, in seconds.
        now: Present time in seconds since the epoch; None: the clock of this machine.

    Raises:
        InvalidSignature: if the message cannot be trusted; its `reason` gives the kind of problem.
        InvalidSecret: if a secret is invalid, or there is none.
        InvalidInput: if the body is not bytes, or another argument is of the wrong type.
    """
    content = _bytes(body)
    keys = _keys(secrets)
    tolerated = _number("tolerance", tolerance)
    time_now = time.time() if now is None else _number("now", now)
    message_id, stamp, signatures = _read(headers)
    _check_age(time_now - int(stamp), tolerated)
    matched = _match(keys, signatures, f"{message_id}.{stamp}.".encode("ascii") + content)
    if matched is None:
        raise _unmatched(keys, signatures)
    return VerifiedMessage(message_id, datetime.fromtimestamp(int(stamp), UTC), matched)


def _bytes(body: object) -> bytes:
    if not isinstance(body, (bytes, bytearray, memoryview)):
        message = f"the body is a {type(body).__name__}; give the received bytes"
        raise InvalidInput(message)
    return bytes(body)


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        message = f"{name} is a {type(value).__name__}; give a number of seconds"
        raise InvalidInput(message)
    return value


def _keys(secrets: object) -> list[_Key]:
    given = [secrets] if isinstance(secrets, (str, bytes)) else secrets
    keys = [_key(secret) for secret in given] if isinstance(given, Iterable) else []
    if not keys:
        message = "there is no secret; give at least one"
        raise InvalidSecret(message)
    return keys


def _key(secret: object) -> _Key:
    if not isinstance(secret, str):
        message = f"a secret must be a string, not a {type(secret).__name__}"
        raise InvalidSecret(message)
    if secret.startswith("whpk_"):
        return Ed25519PublicKey.from_public_bytes(parse_public_key(secret))
    key = parse_secret(secret)
    if kind_of(secret) is SignatureKind.V1A:
        return Ed25519PublicKey.from_public_bytes(public_part(key))
    return key


def _read(headers: object) -> tuple[str, str, list[tuple[str, str]]]:
    """Return the id, the timestamp, and the version and base64 of each signature."""
    lines = _lines(headers)
    for name in (_ID, _TIMESTAMP, _SIGNATURE):
        if not any(lines[name]):
            message = f"the header {name} is missing"
            raise InvalidSignature(message, SignatureProblem.MISSING)
    for name in (_ID, _TIMESTAMP):
        if len(set(lines[name])) > 1:
            message = f"the header {name} occurs several times with different values"
            raise InvalidSignature(message, SignatureProblem.MALFORMED)
    message_id, stamp = lines[_ID][0], lines[_TIMESTAMP][0]
    if not is_message_id(message_id):
        message = f"the header webhook-id is not {ALLOWED_IDS}"
        raise InvalidSignature(message, SignatureProblem.MALFORMED)
    is_number = stamp.isascii() and stamp.isdecimal() and len(stamp) <= _MOST_DIGITS
    if not is_number or int(stamp) > _LATEST:
        message = "the header webhook-timestamp is not a number of seconds since the epoch"
        raise InvalidSignature(message, SignatureProblem.MALFORMED)
    signatures = _signatures(lines[_SIGNATURE])
    if not signatures:
        message = "the header webhook-signature has no signature of the form v1,<base64>"
        raise InvalidSignature(message, SignatureProblem.MALFORMED)
    return message_id, stamp, signatures


def _lines(headers: object) -> dict[str, list[str]]:
    """Return all values of the three headers."""
    items = getattr(headers, "items", None)
    pairs: Any = items() if callable(items) else headers
    lines: dict[str, list[str]] = {name: [] for name in _NAMES}
    try:
        for name, value in islice(pairs, _MOST_LINES):
            lowered = _text(name).lower()
            if lowered in _NAMES and value is not None:
                values = value if isinstance(value, (list, tuple)) else [value]
                lines[lowered] += map(_text, values[:_MOST_SIGNATURES])
    except (TypeError, ValueError):
        message = (
            f"the headers, a {type(headers).__name__}, cannot be read; give a mapping or pairs of"
            " strings or bytes"
        )
        raise InvalidInput(message) from None
    return lines


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("latin-1")
    raise TypeError


def _signatures(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return the version and base64 of each signature; skip malformed signatures.

    Proxies may join several lines with commas (RFC 9110, 5.3).
    """
    found: list[tuple[str, str]] = []
    for line in lines:
        version = None
        for word in line.replace(",", " ").split(maxsplit=2 * _MOST_SIGNATURES):
            if _VERSION.fullmatch(word):
                version = word
            elif version is not None:
                found.append((version, word))
                version = None
    return found[:_MOST_SIGNATURES]


def _check_age(age: float, tolerance: float) -> None:
    # This comparison rejects NaN as tolerance or time.
    if abs(age) <= tolerance:
        return
    side = "far in the future" if age < 0 else "old"
    age_text = f"{abs(age):.0f}" if math.isfinite(age) else "infinitely many"
    message = f"the message is {age_text} s {side}; {tolerance:.0f} s are tolerated"
    raise InvalidSignature(
        message, SignatureProblem.TOO_NEW if age < 0 else SignatureProblem.TOO_OLD
    )


def _match(keys: Sequence[_Key], signatures: list[tuple[str, str]], signed: bytes) -> int | None:
    """Return the index of the key that created one of the signatures."""
    hmacs = [
        hmac.digest(key, signed, hashlib.sha256) if isinstance(key, bytes) else b"" for key in keys
    ]
    for version, encoded in signatures:
        try:
            signature = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
        # Compare all keys, in constant time.
        fits = [
            version == _version(key)
            and (
                hmac.compare_digest(signature, own)
                if isinstance(key, bytes)
                else _is_by(key, signature, signed)
            )
            for key, own in zip(keys, hmacs, strict=True)
        ]
        if any(fits):
            return fits.index(True)
    return None


def _version(key: _Key) -> str:
    return "v1" if isinstance(key, bytes) else "v1a"


def _is_by(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except WrongSignature:
        return False
    return True


def _unmatched(keys: Sequence[_Key], signatures: list[tuple[str, str]]) -> InvalidSignature:
    versions = {version for version, _ in signatures}
    is_all = len(signatures) < _MOST_SIGNATURES
    if is_all and versions.isdisjoint(map(_version, keys)):
        message = (
            "the given secrets verify none of the signatures; the kinds of the signatures are"
            f" {', '.join(sorted(versions))}"
        )
        return InvalidSignature(message, SignatureProblem.UNKNOWN_KIND)
    message = "no signature matches: the secret is wrong, or the message was changed in transit"
    return InvalidSignature(message, SignatureProblem.MISMATCH)
