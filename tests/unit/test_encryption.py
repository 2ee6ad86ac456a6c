"""What is secret is encrypted before it is stored, and opened with any of the keys."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.errors import InvalidSetting, MissingKey
from delivery.message.storage.encryption import Cipher, generate_key, key_label

OLD, NEW = generate_key(), generate_key()


@given(st.binary(max_size=200))
def test_what_was_encrypted_is_opened_as_it_was(data: bytes) -> None:
    cipher = Cipher([NEW])
    text = cipher.encrypt(data)
    assert cipher.is_encrypted(text)
    assert cipher.decrypt(text) == cipher.decrypt(text.encode()) == data
    assert text != cipher.encrypt(data), "the same twice would tell that it is the same"


def test_the_first_key_seals_and_all_open() -> None:
    before, after = Cipher([OLD]), Cipher([NEW, OLD])
    assert after.decrypt(before.encrypt(b"x")) == b"x"
    assert after.is_current(after.encrypt(b"x"))
    assert not after.is_current(before.encrypt(b"x"))
    assert after.encrypt(b"x").startswith(f"encrypted:1:{key_label(NEW)}:")


def test_a_key_that_is_not_here_is_named_with_the_setting_to_mend() -> None:
    text = Cipher([OLD]).encrypt(b"hunter2")
    for cipher in (Cipher([NEW]), Cipher()):
        with pytest.raises(MissingKey, match=r"secrets\.keys") as caught:
            cipher.decrypt(text)
        assert key_label(OLD) in str(caught.value)
        assert OLD not in str(caught.value)


def test_what_was_changed_is_not_opened() -> None:
    text = Cipher([OLD]).encrypt(b"x")
    for changed in (text[:-8], text[:40] + ("A" if text[40] != "A" else "B") + text[41:]):
        with pytest.raises(MissingKey, match="damaged"):
            Cipher([OLD]).decrypt(changed)


def test_without_a_key_everything_stays_as_it_is_and_somebody_is_told() -> None:
    told: list[None] = []
    cipher = Cipher(on_plaintext=lambda: told.append(None))
    assert cipher.encrypt(b'{"a":"\xc3\xa9"}') == '{"a":"é"}'
    assert cipher.decrypt('{"a":1}') == b'{"a":1}'
    assert len(told) == 2
    assert not cipher.has_keys
    assert cipher.is_current("{}")


def test_what_was_stored_before_there_was_a_key_is_readable_later() -> None:
    told: list[None] = []
    cipher = Cipher([NEW], on_plaintext=lambda: told.append(None))
    assert cipher.decrypt(b'{"a":1}') == b'{"a":1}'
    assert not told
    assert not cipher.is_current('{"a":1}')


@pytest.mark.parametrize(
    "key",
    ["", "short", NEW[:-4], NEW + "AAAA", "é" * 44, base64.b64encode(b"k" * 31).decode(), "\n"],
    ids=["empty", "short", "cut", "too long", "not ascii", "31 bytes", "newline"],
)
def test_what_is_no_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(InvalidSetting, match="generate-key") as caught:
        Cipher([key])
    assert len(key) < 5 or key not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_sealer_shows_no_key() -> None:
    assert NEW not in repr(Cipher([NEW]))
    assert repr(Cipher([NEW])) == f"Cipher({key_label(NEW)})"
