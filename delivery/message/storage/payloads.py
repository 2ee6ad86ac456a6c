"""The stored form of payloads: encrypted if they contain values that look secret.

A stored payload is not redacted, because it is delivered byte for byte.
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
"""End of a name in JSON within a string of JSON, or an equals sign."""


def encrypt_payload(payload: bytes, given: object, cipher: Cipher) -> bytes:
    """Return the stored form of a payload.

    Args:
        payload: Result of `encode_payload`.
        given: Argument of `encode_payload`, which makes decoding unnecessary.
        cipher: Cipher. Without keys, all payloads are stored as plain text.
    """
    if not cipher.has_keys:
        return payload
    value = decode_payload(payload) if isinstance(given, (bytes, bytearray)) else given
    is_secret = has_secret_keys(value) or (
        _may_have_nested_texts(payload) and redact_body(payload) is not payload
    )
    return cipher.encrypt(payload).encode() if is_secret else payload


def _may_have_nested_texts(payload: bytes) -> bool:
    """Return True if a string of the payload may contain JSON, a form or a URL."""
    if b"=" in payload or b"%" in payload:
        return True
    return b"\\" in payload and _ESCAPED.search(payload) is not None


def decrypt_payload(stored: bytes, cipher: Cipher) -> bytes:
    """Return the original payload.

    Raises:
        MissingKey: if it is encrypted with a key that the cipher does not have.
    """
    return cipher.decrypt(stored) if cipher.is_encrypted(stored) else stored


def redacted_payload(stored: bytes, cipher: Cipher) -> bytes:
    """Return the redacted payload.

    Raises:
        MissingKey: if it is encrypted with a key that the cipher does not have.
    """
    if not cipher.is_encrypted(stored):
        return redact_body(stored)
    payload = decrypt_payload(stored, cipher)
    # A secret of one value can occur in another value without a secret name.
    scrubber = Scrubber(secrets_in_value(decode_payload(payload)))
    return scrubber.scrub(redact_body(payload))
