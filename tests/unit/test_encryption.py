"""Encryption with several keys."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.errors import InvalidSetting, MissingKey
from delivery.message.storage.encryption import Cipher, generate_key, key_label

OLD, NEW = generate_key(), generate_key()


@given(st.binary(max_size=200))
def test_encrypted_data_decrypts_to_the_original(data: bytes) -> None:
    cipher = Cipher([NEW])
    text = cipher.encrypt(data)
    assert cipher.is_encrypted(text)
    assert cipher.decrypt(text) == cipher.decrypt(text.encode()) == data
    assert text != cipher.encrypt(data), "equal values must not have equal ciphertexts"


def test_the_first_key_encrypts_and_all_keys_decrypt() -> None:
    before, after = Cipher([OLD]), Cipher([NEW, OLD])
    assert after.decrypt(before.encrypt(b"x")) == b"x"
    assert after.is_current(after.encrypt(b"x"))
    assert not after.is_current(before.encrypt(b"x"))
    assert after.encrypt(b"x").startswith(f"encrypted:1:{key_label(NEW)}:")


def test_the_error_about_a_missing_key_names_its_label_and_the_setting() -> None:
    text = Cipher([OLD]).encrypt(b"hunter2")
    for cipher in (Cipher([NEW]), Cipher()):
        with pytest.raises(MissingKey, match=r"secrets\.keys") as caught:
            cipher.decrypt(text)
        assert key_label(OLD) in str(caught.value)
        assert OLD not in str(caught.value)


def test_a_changed_value_is_rejected_as_damaged() -> None:
    text = Cipher([OLD]).encrypt(b"x")
    for changed in (text[:-8], text[:40] + ("A" if text[40] != "A" else "B") + text[41:]):
        with pytest.raises(MissingKey, match="damaged"):
            Cipher([OLD]).decrypt(changed)


def test_without_keys_values_remain_plain_and_the_callback_is_called() -> None:
    plaintexts: list[None] = []
    cipher = Cipher(on_plaintext=lambda: plaintexts.append(None))
    assert cipher.encrypt(b'{"a":"\xc3\xa9"}') == '{"a":"é"}'
    assert cipher.decrypt('{"a":1}') == b'{"a":1}'
    assert len(plaintexts) == 2
    assert not cipher.has_keys
    assert cipher.is_current("{}")


def test_plain_values_are_readable_after_a_key_is_added() -> None:
    plaintexts: list[None] = []
    cipher = Cipher([NEW], on_plaintext=lambda: plaintexts.append(None))
    assert cipher.decrypt(b'{"a":1}') == b'{"a":1}'
    assert not plaintexts
    assert not cipher.is_current('{"a":1}')


@pytest.mark.parametrize(
    "key",
    ["", "short", NEW[:-4], NEW + "AAAA", "é" * 44, base64.b64encode(b"k" * 31).decode(), "\n"],
    ids=["empty", "short", "cut", "too long", "not ascii", "31 bytes", "newline"],
)
def test_the_error_about_an_invalid_key_does_not_contain_the_key(key: str) -> None:
    with pytest.raises(InvalidSetting, match="generate-key") as caught:
        Cipher([key])
    assert len(key) < 5 or key not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_the_repr_of_a_cipher_contains_no_key() -> None:
    assert NEW not in repr(Cipher([NEW]))
    assert repr(Cipher([NEW])) == f"Cipher({key_label(NEW)})"
