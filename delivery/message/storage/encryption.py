"""Sealing: what is secret is encrypted before it is stored, with keys from the settings.

By Fernet (github.com/fernet/spec: AES-128-CBC and HMAC-SHA256) of the package `cryptography`.
AES-GCM would be quicker (1 µs where Fernet takes 7), but with random nonces a key is good for some
thousand million messages only, and an engine may seal as many. Binding a text to its row would add
nothing: who can write rows can change the URL that stands beside what is encrypted.

A encrypted text is `encrypted:1:`, eight hexadecimal digits that tell which key it was encrypted with, a
colon, and the Fernet token. No JSON begins like that, so what is stored as JSON is either encrypted or
not without another mark.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Final

from cryptography.fernet import Fernet, InvalidToken

from delivery.errors import InvalidSetting, MissingKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Cipher", "generate_key", "key_label"]

_PREFIX: Final = "encrypted:1:"
_KEY_BYTES: Final = 32
_LABEL: Final = 8


def generate_key() -> str:
    """A new key for `secrets.keys`: 32 random bytes in URL-safe base64."""
    return Fernet.generate_key().decode()


def key_label(key: str) -> str:
    """By what a encrypted text names its key: eight hexadecimal digits, which reveal nothing of it.

    Raises:
        InvalidSetting: if it is not 32 bytes of URL-safe base64; the text never contains it.
    """
    try:
        raw = base64.b64decode(key.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _KEY_BYTES:
        message = (
            f"a key of secrets.keys is not {_KEY_BYTES} bytes of URL-safe base64; make one with"
            " `delivery secrets generate-key`"
        )
        raise InvalidSetting(message)
    return hashlib.sha256(b"delivery encryption key " + raw).hexdigest()[:_LABEL]


class Cipher:
    """Encrypts with the first of its keys, and opens what was encrypted with any of them.

    Without a key it leaves what it is given as it is: a database of one's own may be used without.

    Args:
        keys: Each 32 bytes in URL-safe base64; see `generate_key`.
        on_plaintext: Called each time that something is left unencrypted, or read that was, for want of
            a key.

    Raises:
        InvalidSetting: if a key is not one.
    """

    __slots__ = ("_first", "_keys", "_on_plaintext", "_start")

    def __init__(
        self, keys: Sequence[str] = (), *, on_plaintext: Callable[[], None] | None = None
    ) -> None:
        self._keys = {key_label(key): Fernet(key) for key in keys}
        self._on_plaintext = on_plaintext
        self._first = Fernet(keys[0]) if keys else None
        self._start = f"{_PREFIX}{key_label(keys[0])}:" if keys else ""

    def __repr__(self) -> str:
        return f"Cipher({', '.join(self._keys) or 'no keys'})"

    @property
    def has_keys(self) -> bool:
        """Whether what is given to `encrypt` is encrypted."""
        return self._first is not None

    @property
    def labels(self) -> tuple[str, ...]:
        """By what encrypted texts name the keys, in their order."""
        return tuple(self._keys)

    def encrypt(self, data: bytes) -> str:
        """The encrypted text; without a key, the data itself as a text, which must be UTF-8."""
        if self._first is None:
            if self._on_plaintext is not None:
                self._on_plaintext()
            return data.decode()
        return self._start + self._first.encrypt(data).decode("ascii")

    def decrypt(self, text: str | bytes) -> bytes:
        """What was encrypted; a text that is not encrypted is given back as it is.

        Raises:
            MissingKey: if it was encrypted with another key, or was changed since.
        """
        encrypted = text if isinstance(text, bytes) else text.encode()
        if not self.is_encrypted(encrypted):
            if self._first is None and self._on_plaintext is not None:
                self._on_plaintext()
            return encrypted
        label, _, token = encrypted[len(_PREFIX) :].partition(b":")
        named = label.decode("ascii", "replace")
        key = self._keys.get(named)
        if key is None:
            message = (
                f"it is encrypted with the key {named}, which this process does not"
                " have; add that key to secrets.keys (DELIVERY_SECRETS_KEYS)"
            )
            raise MissingKey(message)
        try:
            return key.decrypt(token)
        except InvalidToken:
            message = (
                f"it is encrypted with the key {named} of secrets.keys, but was"
                " damaged or changed since; set it anew"
            )
            raise MissingKey(message) from None

    def is_encrypted(self, text: str | bytes) -> bool:
        """Whether this is a encrypted text, whatever its key."""
        return _begins(text, _PREFIX)

    def is_current(self, text: str | bytes) -> bool:
        """Whether it is encrypted with the first key; without keys, whether it is not encrypted."""
        if self._first is None:
            return not self.is_encrypted(text)
        return _begins(text, self._start)


def _begins(text: str | bytes, start: str) -> bool:
    return text.startswith(start) if isinstance(text, str) else text.startswith(start.encode())
