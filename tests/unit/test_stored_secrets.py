"""Stored signing secrets and their rotation."""

from __future__ import annotations

from typing import Any

import pytest

from delivery.errors import InvalidReaction, MissingKey
from delivery.message.signing import ExpiringSigner, Signer, generate_secret, public_key
from delivery.message.signing.stored_secrets import (
    MOST_SECRETS,
    decode_signing,
    encode_signing,
    redacted_signing,
    reencrypt_signing,
    rotate_signing,
    signer_for,
)
from delivery.message.storage.encryption import Cipher, generate_key
from delivery.models import SignatureKind

KEY, OTHER_KEY = generate_key(), generate_key()
CIPHER = Cipher([KEY])
FIRST, SECOND, THIRD = (generate_secret() for _ in range(3))
PRIVATE = generate_secret(SignatureKind.V1A)
NOW = 1_000.25


def rotated(text: str, secret: str, **changes: Any) -> str:
    return rotate_signing(text, secret, CIPHER, **{"now": NOW, "expires_at": NOW + 60, **changes})


def read(text: str) -> list[tuple[str, float | None]]:
    return [
        (each.secret, None if each.expires_at is None else each.expires_at.timestamp())
        for each in decode_signing(text, CIPHER)
    ]


def test_only_the_secrets_are_encrypted() -> None:
    text = encode_signing([FIRST, PRIVATE], CIPHER)
    assert FIRST not in text
    assert PRIVATE not in text
    assert [secret for secret, _ in read(text)] == [FIRST, PRIVATE]
    first, private = redacted_signing(text)
    assert (first.secret, first.kind, first.public_key) == ("***", "v1", None)
    assert (private.kind, private.public_key) == ("v1a", public_key(PRIVATE))
    with pytest.raises(MissingKey):
        decode_signing(text, Cipher([OTHER_KEY]))


def test_a_rotation_adds_a_first_secret_and_expires_the_former_secrets() -> None:
    """The expiry is rounded up to a whole second. An earlier expiry is unchanged."""
    text = rotated(encode_signing([FIRST], CIPHER), SECOND)
    assert read(text) == [(SECOND, None), (FIRST, 1_061)]
    text = rotated(text, PRIVATE, now=1_010.0, expires_at=1_100.0)
    assert read(text) == [(PRIVATE, None), (SECOND, 1_100), (FIRST, 1_061)]
    assert read(rotated(text, THIRD, now=1_061.0, expires_at=1_200.0)) == [
        (THIRD, None),
        (PRIVATE, 1_200),
        (SECOND, 1_100),
    ]


def test_former_secrets_can_expire_immediately_or_never() -> None:
    text = encode_signing([FIRST, SECOND], CIPHER)
    assert read(rotated(text, THIRD, expires_at=NOW)) == [(THIRD, None)]
    after = rotated(text, THIRD, expires_at=float("inf"))
    assert read(after) == [(THIRD, None), (FIRST, None), (SECOND, None)]


def test_a_former_secret_can_become_the_first_again() -> None:
    text = rotated(encode_signing([FIRST], CIPHER), SECOND)
    assert read(rotated(text, FIRST.rstrip("="))) == [(FIRST.rstrip("="), None), (SECOND, 1_061)]
    with pytest.raises(InvalidReaction, match="in use already"):
        rotated(text, SECOND)


def test_too_many_secrets_are_rejected() -> None:
    text = encode_signing([generate_secret() for _ in range(MOST_SECRETS)], CIPHER)
    with pytest.raises(InvalidReaction, match="expire immediately"):
        rotated(text, FIRST)
    assert len(read(rotated(text, FIRST, expires_at=NOW))) == 1


def test_secrets_that_cannot_be_decrypted_can_be_rotated() -> None:
    """They are stored unchanged until they expire."""
    text = encode_signing([FIRST], Cipher([OTHER_KEY]))
    after = rotated(text, SECOND)
    both = Cipher([KEY, OTHER_KEY])
    assert [each.secret for each in decode_signing(after, both)] == [SECOND, FIRST]


def test_reencrypted_secrets_need_only_the_new_key() -> None:
    before = rotated(encode_signing([FIRST], CIPHER), PRIVATE)
    new = Cipher([OTHER_KEY, KEY])
    after = reencrypt_signing(before, new)
    assert [each.secret for each in decode_signing(after, Cipher([OTHER_KEY]))] == [PRIVATE, FIRST]
    assert redacted_signing(after) == redacted_signing(before)
    assert reencrypt_signing(after, new) is after
    plain = encode_signing([FIRST], Cipher())
    assert FIRST not in reencrypt_signing(plain, CIPHER)
    with pytest.raises(MissingKey):
        reencrypt_signing(before, Cipher([OTHER_KEY]))


def test_secrets_without_expiry_use_the_simple_signer() -> None:
    text = encode_signing([FIRST], CIPHER)
    assert type(signer_for(decode_signing(text, CIPHER))) is Signer
    assert type(signer_for(decode_signing(rotated(text, SECOND), CIPHER))) is ExpiringSigner
    assert signer_for(()) is None


def test_secrets_of_the_migration_are_read() -> None:
    (secret,) = decode_signing(f'[{{"secret": "{FIRST}", "expires_at": null}}]', CIPHER)
    assert (secret.secret, secret.kind, secret.expires_at) == (FIRST, "v1", None)
