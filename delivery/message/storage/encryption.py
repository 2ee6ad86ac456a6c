"""Encryption of stored secrets with the keys of `secrets.keys`.

The algorithm is Fernet (github.com/fernet/spec: AES-128-CBC and HMAC-SHA256) of the package
`cryptography`. AES-GCM would be faster (1 µs instead of 7), but with random nonces a key is safe
for only about a billion messages, and an engine can reach that number. Binding a value to its row
would add no security: an attacker who can write rows can also change the URL next to it.

An encrypted value is `encrypted:1:`, the label of the key (eight hexadecimal digits), a colon, and
the Fernet token. No JSON begins with this prefix, so it distinguishes encrypted from plain JSON.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Final

from delivery.errors import InvalidSetting, MissingKey

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography.fernet import Fernet

__all__ = ["Cipher", "generate_key", "key_label"]

_PREFIX: Final = "encrypted:1:"
_KEY_BYTES: Final = 32
_LABEL: Final = 8


def generate_key() -> str:
    """Generate a key for `secrets.keys`: 32 random bytes in URL-safe base64."""
    from cryptography.fernet import Fernet  # noqa: PLC0415 - as in `Cipher._fernet`

    return Fernet.generate_key().decode()


def key_label(key: str) -> str:
    """Return the label of a key: eight hexadecimal digits that reveal nothing of the key.

    Raises:
        InvalidSetting: if it is not 32 bytes of URL-safe base64; the message never contains the
            key.
    """
    try:
        raw = base64.b64decode(key.encode("ascii"), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != _KEY_BYTES:
        message = (
            f"a key of secrets.keys is not {_KEY_BYTES} bytes of URL-safe base64; generate one with"
            " `delivery secrets generate-key`"
        )
        raise InvalidSetting(message)
    return hashlib.sha256(b"delivery encryption key " + raw).hexdigest()[:_LABEL]


class Cipher:
    """Cipher that encrypts with its first key, and decrypts with any of its keys.

    Without keys, values remain plain text. Keys are optional, except in the embedded database.

    Args:
        keys: Keys of 32 bytes in URL-safe base64; see `generate_key`.
        on_plaintext: Callback for each value that is written or read as plain text because there
            is no key.

    Raises:
        InvalidSetting: if a key is invalid.
    """

    __slots__ = ("_fernets", "_keys", "_on_plaintext", "_start")

    def __init__(
        self, keys: Sequence[str] = (), *, on_plaintext: Callable[[], None] | None = None
    ) -> None:
        self._keys = {key_label(key): key for key in keys}
        self._fernets: dict[str, Fernet] = {}
        """Fernets of the used keys, by the labels of the keys."""
        self._on_plaintext = on_plaintext
        self._start = f"{_PREFIX}{key_label(keys[0])}:" if keys else ""

    def __repr__(self) -> str:
        return f"Cipher({', '.join(self._keys) or 'no keys'})"

    @property
    def has_keys(self) -> bool:
        """True if the cipher can encrypt."""
        return bool(self._keys)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the keys, in the order of the keys."""
        return tuple(self._keys)

    def encrypt(self, data: bytes) -> str:
        """Encrypt data; without keys, return the data decoded as UTF-8."""
        if not self._keys:
            if self._on_plaintext is not None:
                self._on_plaintext()
            return data.decode()
        first = next(iter(self._keys))
        return self._start + self._fernet(first).encrypt(data).decode("ascii")

    def decrypt(self, text: str | bytes) -> bytes:
        """Decrypt a value; return a plain value unchanged.

        Raises:
            MissingKey: if it is encrypted with another key, or damaged.
        """
        encrypted = text if isinstance(text, bytes) else text.encode()
        if not self.is_encrypted(encrypted):
            if not self._keys and self._on_plaintext is not None:
                self._on_plaintext()
            return encrypted
        label, _, token = encrypted[len(_PREFIX) :].partition(b":")
        named = label.decode("ascii", "replace")
        if named not in self._keys:
            message = (
                f"the stored value is encrypted with the key {named}, which this process does not"
                " have; add the key to secrets.keys (DELIVERY_SECRETS_KEYS)"
            )
            raise MissingKey(message)
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - as in `_fernet`

        try:
            return self._fernet(named).decrypt(token)
        except InvalidToken:
            message = (
                f"the stored value is encrypted with the key {named} of secrets.keys, but is"
                " damaged; set the value again"
            )
            raise MissingKey(message) from None

    def _fernet(self, label: str) -> Fernet:
        fernet = self._fernets.get(label)
        if fernet is None:
            # The import takes a while, and many programs never use a key.
            from cryptography.fernet import Fernet  # noqa: PLC0415

            fernet = self._fernets[label] = Fernet(self._keys[label])
        return fernet

    def is_encrypted(self, text: str | bytes) -> bool:
        """Return True if a value is encrypted with any key."""
        return _begins(text, _PREFIX)

    def is_current(self, text: str | bytes) -> bool:
        """Return True if a value is encrypted with the first key, or without keys is plain."""
        if not self._keys:
            return not self.is_encrypted(text)
        return _begins(text, self._start)


def _begins(text: str | bytes, start: str) -> bool:
    return text.startswith(start) if isinstance(text, str) else text.startswith(start.encode())
