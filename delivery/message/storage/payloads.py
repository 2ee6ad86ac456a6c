"""The payload as it is stored: as it is, or encrypted if something in it looks like a secret.

It must be delivered byte for byte, so it cannot be redacted; but where there is a key, a payload
with a password in it does not lie readable in the database.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from delivery.message.redaction.bodies import redact_body
from delivery.message.redaction.by_name import has_secret_keys
from delivery.message.redaction.scrubber import Scrubber, secrets_in_value
from delivery.message.request.payload import decode_payload

if TYPE_CHECKING:
    from delivery.message.storage.encryption import Cipher

__all__ = ["decrypt_payload", "encrypt_payload", "redacted_payload"]

_ESCAPED: Final = re.compile(rb'\\"[ \t\r\n]*:|\\u00(?:22|3[dD])')
"""The end of a name in JSON inside a string of JSON, or an equals sign."""


def encrypt_payload(payload: bytes, given: object, cipher: Cipher) -> bytes:
    """The payload as it is stored.

    Args:
        payload: What `encode_payload` made.
        given: What it was made of, which tells its keys without reading it again.
        cipher: Without keys, everything is stored as it is.
    """
    if not cipher.has_keys:
        return payload
    value = decode_payload(payload) if isinstance(given, (bytes, bytearray)) else given
    is_secret = has_secret_keys(value) or (
        _may_have_nested_texts(payload) and redact_body(payload) is not payload
    )
    return cipher.encrypt(payload).encode() if is_secret else payload


def _may_have_nested_texts(payload: bytes) -> bool:
    """Whether there may be JSON in a string, a form or a URL, which can have their own secrets."""
    if b"=" in payload or b"%" in payload:
        return True
    return b"\\" in payload and _ESCAPED.search(payload) is not None


def decrypt_payload(stored: bytes, cipher: Cipher) -> bytes:
    """The payload as it was given.

    Raises:
        MissingKey: if it was encrypted with a key that the cipher does not have.
    """
    return cipher.decrypt(stored) if cipher.is_encrypted(stored) else stored


def redacted_payload(stored: bytes, cipher: Cipher) -> bytes:
    """The payload with `***` for what looks like a secret.

    Raises:
        MissingKey: if it was encrypted with a key that the cipher does not have.
    """
    if not cipher.is_encrypted(stored):
        return redact_body(stored)
    payload = decrypt_payload(stored, cipher)
    # What is secret in one place of it may be repeated in another.
    scrubber = Scrubber(secrets_in_value(decode_payload(payload)))
    return scrubber.scrub(redact_body(payload))
