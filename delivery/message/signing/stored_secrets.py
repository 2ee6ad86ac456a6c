"""The stored form of a reaction's signing secrets, and their rotation.

The stored form is a JSON list, newest first. Each entry has the kind, public key, expiry and the
encrypted secret. Only the secret is encrypted, so that secrets can be listed and rotated without
the key.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil, inf
from typing import TYPE_CHECKING, Any, Final

import orjson

from delivery.errors import InvalidReaction, MissingKey
from delivery.message.redaction.by_name import REDACTED
from delivery.message.signing.keys import kind_of, parse_secret, public_key
from delivery.message.signing.signer import ExpiringSigner, Signer
from delivery.models import SignatureKind, SigningSecret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from delivery.message.storage.encryption import Cipher

__all__ = [
    "MOST_SECRETS",
    "decode_signing",
    "encode_signing",
    "redacted_signing",
    "reencrypt_signing",
    "rotate_signing",
    "signer_for",
]

MOST_SECRETS: Final = 10
"""Maximum number of secrets of a reaction. Each adds a signature to every request."""


def encode_signing(secrets: Sequence[str], cipher: Cipher) -> str:
    """Return the stored form of valid secrets without expiry."""
    return orjson.dumps([_entry(secret, cipher) for secret in secrets]).decode()


def decode_signing(text: str, cipher: Cipher) -> tuple[SigningSecret, ...]:
    """Decrypt the secrets of a stored form.

    Raises:
        MissingKey: if a secret is encrypted with a key that the cipher does not have.
        KeyError, TypeError, ValueError: if `encode_signing` did not write the text.
    """
    return tuple(
        _secret(entry, cipher.decrypt(entry["secret"]).decode()) for entry in orjson.loads(text)
    )


def redacted_signing(text: str) -> tuple[SigningSecret, ...]:
    """Return the entries with `***` for the secrets.

    Raises:
        KeyError, TypeError, ValueError: if `encode_signing` did not write the text.
    """
    return tuple(_secret(entry, REDACTED) for entry in orjson.loads(text))


def rotate_signing(text: str, secret: str, cipher: Cipher, *, now: float, expires_at: float) -> str:
    """Return the stored form with a new first secret; the former secrets expire.

    Args:
        text: Present stored form.
        secret: Valid secret. A former secret moves to the front and no longer expires.
        cipher: Cipher for the secret.
        now: Present time in seconds since the epoch. Expired secrets are removed.
        expires_at: Latest expiry of the former secrets in seconds since the epoch, rounded up to
            a whole second; infinity: no limit.

    Raises:
        InvalidReaction: if there are too many secrets, or the secret already is the first.
    """
    former: list[dict[str, Any]] = orjson.loads(text)
    same = [_is_same(entry, secret, cipher) for entry in former]
    if same and same[0]:
        message = "the secret is in use already; give another secret, or none to generate one"
        raise InvalidReaction(message)
    stored = [_entry(secret, cipher)]
    for entry, is_same in zip(former, same, strict=True):
        ends = min(entry.get("expires_at") or inf, expires_at)
        if ends > now and not is_same:
            stored.append({**entry, "expires_at": None if ends == inf else ceil(ends)})
    if len(stored) > MOST_SECRETS:
        message = (
            f"there would be {len(stored)} signing secrets; at most {MOST_SECRETS} are allowed;"
            " wait until one expires, or let all expire immediately (keep_for=0)"
        )
        raise InvalidReaction(message)
    return orjson.dumps(stored).decode()


def reencrypt_signing(text: str, cipher: Cipher) -> str:
    """Encrypt each secret with the first key of the cipher; return the same text if all are.

    Raises:
        MissingKey: if a secret is encrypted with a key that the cipher does not have.
    """
    entries: list[dict[str, Any]] = orjson.loads(text)
    if all(cipher.is_current(entry["secret"]) for entry in entries):
        return text
    return orjson.dumps(
        [{**entry, "secret": cipher.encrypt(cipher.decrypt(entry["secret"]))} for entry in entries]
    ).decode()


def signer_for(secrets: Sequence[SigningSecret]) -> Signer | ExpiringSigner | None:
    """Return a signer that uses each secret until it expires; None without secrets.

    Raises:
        InvalidSecret: if a secret is invalid.
    """
    if not secrets:
        return None
    if all(each.expires_at is None for each in secrets):
        return Signer([each.secret for each in secrets])
    return ExpiringSigner(
        [
            (each.secret, None if each.expires_at is None else each.expires_at.timestamp())
            for each in secrets
        ]
    )


def _entry(secret: str, cipher: Cipher) -> dict[str, Any]:
    return {
        "secret": cipher.encrypt(secret.encode()),
        "kind": kind_of(secret).value,
        "public_key": public_key(secret),
        "expires_at": None,
    }


def _secret(entry: dict[str, Any], secret: str) -> SigningSecret:
    ends = entry.get("expires_at")
    return SigningSecret(
        secret=secret,
        # Early versions, which had one kind, stored no kind.
        kind=SignatureKind(entry.get("kind", SignatureKind.V1)),
        public_key=entry.get("public_key"),
        expires_at=None if ends is None else datetime.fromtimestamp(ends, UTC),
    )


def _is_same(entry: dict[str, Any], secret: str, cipher: Cipher) -> bool:
    try:
        known = cipher.decrypt(entry["secret"]).decode()
    except MissingKey:
        return False
    return parse_secret(known) == parse_secret(secret)
