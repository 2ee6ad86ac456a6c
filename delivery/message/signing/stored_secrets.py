"""How the signing secrets of a reaction are stored, and how one takes the place of another.

A JSON list, newest first: of each its kind, public key and expiry, and the secret itself, which
alone is encrypted. So the list can be shown, and secrets can be rotated, without the key that opens
it.
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
"""Secrets one reaction may have: each makes every request longer, and takes time."""


def encode_signing(secrets: Sequence[str], cipher: Cipher) -> str:
    """The stored form of valid secrets that do not expire."""
    return orjson.dumps([_entry(secret, cipher) for secret in secrets]).decode()


def decode_signing(text: str, cipher: Cipher) -> tuple[SigningSecret, ...]:
    """The secrets as they are.

    Raises:
        MissingKey: if one was encrypted with a key that the cipher does not have.
        KeyError, TypeError, ValueError: if the text is not what `encode_signing` writes.
    """
    return tuple(
        _secret(entry, cipher.decrypt(entry["secret"]).decode()) for entry in orjson.loads(text)
    )


def redacted_signing(text: str) -> tuple[SigningSecret, ...]:
    """What may be shown of the secrets: all but themselves.

    Raises:
        KeyError, TypeError, ValueError: if the text is not what `encode_signing` writes.
    """
    return tuple(_secret(entry, REDACTED) for entry in orjson.loads(text))


def rotate_signing(text: str, secret: str, cipher: Cipher, *, now: float, expires_at: float) -> str:
    """The stored form with a new first secret; the former ones expire.

    Args:
        text: The stored form before.
        secret: A valid one. If it is one of the former, it is moved to the front, and stays.
        cipher: Encrypts it.
        now: Seconds since the epoch; what has expired by then is dropped.
        expires_at: When the former ones expire, unless they do so sooner, in seconds since the
            epoch, rounded up to whole ones; infinity: not by this.

    Raises:
        InvalidReaction: if there are too many secrets, or the given one is the first already.
    """
    former: list[dict[str, Any]] = orjson.loads(text)
    same = [_is_same(entry, secret, cipher) for entry in former]
    if same and same[0]:
        message = "the secret is the one that is used already; give another, or none to make one"
        raise InvalidReaction(message)
    stored = [_entry(secret, cipher)]
    for entry, is_same in zip(former, same, strict=True):
        ends = min(entry.get("expires_at") or inf, expires_at)
        if ends > now and not is_same:
            stored.append({**entry, "expires_at": None if ends == inf else ceil(ends)})
    if len(stored) > MOST_SECRETS:
        message = (
            f"there would be {len(stored)} signing secrets, of which {MOST_SECRETS} are allowed;"
            " wait until one expires, or keep none (keep_for=0)"
        )
        raise InvalidReaction(message)
    return orjson.dumps(stored).decode()


def reencrypt_signing(text: str, cipher: Cipher) -> str:
    """The stored form with each secret encrypted with the cipher's first key; the same if they are.

    Raises:
        MissingKey: if one was encrypted with a key that the cipher does not have.
    """
    entries: list[dict[str, Any]] = orjson.loads(text)
    if all(cipher.is_current(entry["secret"]) for entry in entries):
        return text
    return orjson.dumps(
        [{**entry, "secret": cipher.encrypt(cipher.decrypt(entry["secret"]))} for entry in entries]
    ).decode()


def signer_for(secrets: Sequence[SigningSecret]) -> Signer | ExpiringSigner | None:
    """What signs with these secrets, as long as each is valid; None if there are none.

    Raises:
        InvalidSecret: if one is not a secret.
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
        # Missing in what was stored before there was another kind.
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
