"""Text form of signing secrets and public keys: generation, parsing, kinds."""

from __future__ import annotations

import base64
import binascii
import secrets as randomness
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from delivery.errors import InvalidSecret
from delivery.message.signing.ed25519 import is_safe_public_key
from delivery.models import SignatureKind

__all__ = [
    "generate_secret",
    "kind_of",
    "parse_public_key",
    "parse_secret",
    "public_key",
    "public_part",
]

_SYMMETRIC: Final = "whsec_"
_PRIVATE: Final = "whsk_"
_PUBLIC: Final = "whpk_"
_FEWEST_BYTES: Final = 24
_MOST_BYTES: Final = 64
_GENERATED_BYTES: Final = 32
_SEED_BYTES: Final = 32
"""Size of an ed25519 private key, and of a public key (RFC 8032, 5.1.5)."""


def generate_secret(kind: SignatureKind = SignatureKind.V1) -> str:
    """Generate a secret: `whsec_` and 32 random bytes, or `whsk_` and an ed25519 key pair."""
    key = randomness.token_bytes(_GENERATED_BYTES)
    if kind is SignatureKind.V1:
        return _SYMMETRIC + base64.b64encode(key).decode()
    return _PRIVATE + base64.b64encode(key + public_part(key)).decode()


def kind_of(secret: str) -> SignatureKind:
    """Return the kind of signature of a valid secret."""
    return SignatureKind.V1A if secret.startswith(_PRIVATE) else SignatureKind.V1


def public_key(secret: str) -> str | None:
    """Return the public key `whpk_…` of a valid secret `whsk_…`; None for a `whsec_…`."""
    if kind_of(secret) is SignatureKind.V1:
        return None
    return _PUBLIC + base64.b64encode(public_part(parse_secret(secret))).decode()


def public_part(seed: bytes) -> bytes:
    """Return the public key of an ed25519 private key."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def parse_secret(text: str) -> bytes:
    """Decode a signing secret: base64 with or without padding.

    A `whsec_…` has 24 to 64 bytes. A `whsk_…` has the 32 bytes of the private key. The public key
    can follow it, as in secrets of Svix, but not of the reference implementation in Go.

    Raises:
        InvalidSecret: if it is invalid; the message never contains the secret.
    """
    given: object = text
    if not isinstance(given, str):
        message = f"a signing secret must be a string, not {type(given).__name__}"
        raise InvalidSecret(message)
    if text.startswith(_PRIVATE):
        return _private(text)
    if not text.startswith(_SYMMETRIC):
        message = (
            f"{_PUBLIC}… is a public key, which cannot sign; give the private key {_PRIVATE}…"
            if text.startswith(_PUBLIC)
            else f"a signing secret must start with {_SYMMETRIC}, or with {_PRIVATE} for ed25519;"
            " add the prefix or generate a secret"
        )
        raise InvalidSecret(message)
    key = _decoded(text, _SYMMETRIC)
    if not _FEWEST_BYTES <= len(key) <= _MOST_BYTES:
        message = (
            f"the signing secret encodes {len(key)} bytes; it must encode"
            f" {_FEWEST_BYTES} to {_MOST_BYTES} random bytes"
        )
        raise InvalidSecret(message)
    return key


@lru_cache(maxsize=256)
def parse_public_key(text: str) -> bytes:
    """Decode an ed25519 public key `whpk_…`.

    Raises:
        InvalidSecret: if it is invalid, or anyone can create signatures for it.
    """
    key = _decoded(text, _PUBLIC)
    if len(key) != _SEED_BYTES:
        message = f"the public key encodes {len(key)} bytes; an ed25519 key has {_SEED_BYTES}"
        raise InvalidSecret(message)
    if not is_safe_public_key(key):
        message = (
            "the public key is unsafe: anyone can create signatures for it; copy the key of the"
            " sender again"
        )
        raise InvalidSecret(message)
    return key


def _private(text: str) -> bytes:
    key = _decoded(text, _PRIVATE)
    if len(key) not in {_SEED_BYTES, 2 * _SEED_BYTES}:
        message = (
            f"the signing secret encodes {len(key)} bytes; after {_PRIVATE} it must encode the"
            f" {_SEED_BYTES} bytes of an ed25519 private key, alone or with the public key"
        )
        raise InvalidSecret(message)
    seed = key[:_SEED_BYTES]
    if key[_SEED_BYTES:] not in {b"", public_part(seed)}:
        message = (
            f"the two halves of the signing secret after {_PRIVATE} are not an ed25519 key pair;"
            " copy it again"
        )
        raise InvalidSecret(message)
    return seed


def _decoded(text: str, prefix: str) -> bytes:
    encoded = text.removeprefix(prefix).rstrip("=")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        kind = "public key" if prefix == _PUBLIC else "signing secret"
        message = f"the part of the {kind} after {prefix} is not base64; copy it again"
        raise InvalidSecret(message) from None
