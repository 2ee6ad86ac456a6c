"""The signing secrets of a reaction as they are stored, and their rotation."""

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


def test_secrets_are_encrypted_and_the_rest_can_be_shown_without_the_key() -> None:
    text = encode_signing([FIRST, PRIVATE], CIPHER)
    assert FIRST not in text
    assert PRIVATE not in text
    assert [secret for secret, _ in read(text)] == [FIRST, PRIVATE]
    first, private = redacted_signing(text)
    assert (first.secret, first.kind, first.public_key) == ("***", "v1", None)
    assert (private.kind, private.public_key) == ("v1a", public_key(PRIVATE))
    with pytest.raises(MissingKey):
        decode_signing(text, Cipher([OTHER_KEY]))


def test_a_rotation_puts_the_new_one_first_and_lets_the_former_expire() -> None:
    """At a whole second, not before its time; and what expires sooner does so."""
    text = rotated(encode_signing([FIRST], CIPHER), SECOND)
    assert read(text) == [(SECOND, None), (FIRST, 1_061)]
    text = rotated(text, PRIVATE, now=1_010.0, expires_at=1_100.0)
    assert read(text) == [(PRIVATE, None), (SECOND, 1_100), (FIRST, 1_061)]
    assert read(rotated(text, THIRD, now=1_061.0, expires_at=1_200.0)) == [
        (THIRD, None),
        (PRIVATE, 1_200),
        (SECOND, 1_100),
    ]


def test_former_ones_can_go_at_once_or_stay() -> None:
    text = encode_signing([FIRST, SECOND], CIPHER)
    assert read(rotated(text, THIRD, expires_at=NOW)) == [(THIRD, None)]
    kept = rotated(text, THIRD, expires_at=float("inf"))
    assert read(kept) == [(THIRD, None), (FIRST, None), (SECOND, None)]


def test_a_former_secret_can_come_back_to_the_front() -> None:
    text = rotated(encode_signing([FIRST], CIPHER), SECOND)
    assert read(rotated(text, FIRST.rstrip("="))) == [(FIRST.rstrip("="), None), (SECOND, 1_061)]
    with pytest.raises(InvalidReaction, match="used already"):
        rotated(text, SECOND)


def test_more_secrets_than_are_allowed_are_refused() -> None:
    text = encode_signing([generate_secret() for _ in range(MOST_SECRETS)], CIPHER)
    with pytest.raises(InvalidReaction, match="keep none"):
        rotated(text, FIRST)
    assert len(read(rotated(text, FIRST, expires_at=NOW))) == 1


def test_secrets_that_cannot_be_opened_can_be_rotated_away() -> None:
    """They stay as they are until they expire."""
    text = encode_signing([FIRST], Cipher([OTHER_KEY]))
    after = rotated(text, SECOND)
    both = Cipher([KEY, OTHER_KEY])
    assert [each.secret for each in decode_signing(after, both)] == [SECOND, FIRST]


def test_what_is_encrypted_again_opens_with_the_new_key_alone() -> None:
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


def test_only_secrets_that_expire_cost_a_look_at_the_time() -> None:
    text = encode_signing([FIRST], CIPHER)
    assert type(signer_for(decode_signing(text, CIPHER))) is Signer
    assert type(signer_for(decode_signing(rotated(text, SECOND), CIPHER))) is ExpiringSigner
    assert signer_for(()) is None


def test_what_the_migration_wrote_is_read() -> None:
    (secret,) = decode_signing(f'[{{"secret": "{FIRST}", "expires_at": null}}]', CIPHER)
    assert (secret.secret, secret.kind, secret.expires_at) == (FIRST, "v1", None)
