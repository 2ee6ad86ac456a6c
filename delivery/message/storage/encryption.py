"""Sealing: what is secret is encrypted before it is stored, with keys from the settings.

By Fernet (github.com/fernet/spec: AES-128-CBC and HMAC-SHA256) of the package `cryptography`.
AES-GCM would be quicker (1 µs where Fernet takes 7), but with random nonces a key is good for some
thousand million messages only, and an engine may seal as many. Binding a text to its row would add
nothing: who can write rows can change the URL that stands beside what is sealed.

A sealed text is `sealed:1:`, eight hexadecimal digits that tell which key it was sealed with, a
colon, and the Fernet token. No JSON begins like that, so what is stored as JSON is either sealed or
not without another mark.
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

__all__ = ["Sealer", "generate_key", "key_label"]

_PREFIX: Final = "sealed:1:"
_KEY_BYTES: Final = 32
_LABEL: Final = 8


def generate_key() -> str:
    """A new key for `secrets.keys`: 32 random bytes in URL-safe base64."""
    from cryptography.fernet import Fernet  # noqa: PLC0415 - as in `Sealer._fernet`

    return Fernet.generate_key().decode()


def key_label(key: str) -> str:
    """By what a sealed text names its key: eight hexadecimal digits, which reveal nothing of it.

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
    return hashlib.sha256(b"delivery sealing key " + raw).hexdigest()[:_LABEL]


class Sealer:
    """Seals with the first of its keys, and opens what was sealed with any of them.

    Without a key it leaves what it is given as it is: a database of one's own may be used without.

    Args:
        keys: Each 32 bytes in URL-safe base64; see `generate_key`.
        on_unsealed: Called each time that something is left unsealed, or read that was, for want of
            a key.

    Raises:
        InvalidSetting: if a key is not one.
    """

    __slots__ = ("_fernets", "_keys", "_on_unsealed", "_start")

    def __init__(
        self, keys: Sequence[str] = (), *, on_unsealed: Callable[[], None] | None = None
    ) -> None:
        self._keys = {key_label(key): key for key in keys}
        self._fernets: dict[str, Fernet] = {}
        """The keys that were used, by their label."""
        self._on_unsealed = on_unsealed
        self._start = f"{_PREFIX}{key_label(keys[0])}:" if keys else ""

    def __repr__(self) -> str:
        return f"Sealer({', '.join(self._keys) or 'no keys'})"

    @property
    def has_keys(self) -> bool:
        """Whether what is given to `seal` is sealed."""
        return bool(self._keys)

    @property
    def labels(self) -> tuple[str, ...]:
        """By what sealed texts name the keys, in their order."""
        return tuple(self._keys)

    def seal(self, data: bytes) -> str:
        """The sealed text; without a key, the data itself as a text, which must be UTF-8."""
        if not self._keys:
            if self._on_unsealed is not None:
                self._on_unsealed()
            return data.decode()
        first = next(iter(self._keys))
        return self._start + self._fernet(first).encrypt(data).decode("ascii")

    def open(self, text: str | bytes) -> bytes:
        """What was sealed; a text that is not sealed is given back as it is.

        Raises:
            MissingKey: if it was sealed with another key, or was changed since.
        """
        sealed = text if isinstance(text, bytes) else text.encode()
        if not self.is_sealed(sealed):
            if not self._keys and self._on_unsealed is not None:
                self._on_unsealed()
            return sealed
        label, _, token = sealed[len(_PREFIX) :].partition(b":")
        named = label.decode("ascii", "replace")
        if named not in self._keys:
            message = (
                f"what is secret in it was sealed with the key {named}, which this process does not"
                " have; add that key to secrets.keys (DELIVERY_SECRETS_KEYS)"
            )
            raise MissingKey(message)
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - as in `_fernet`

        try:
            return self._fernet(named).decrypt(token)
        except InvalidToken:
            message = (
                f"what is secret in it was sealed with the key {named} of secrets.keys, but was"
                " damaged or changed since; set it anew"
            )
            raise MissingKey(message) from None

    def _fernet(self, label: str) -> Fernet:
        fernet = self._fernets.get(label)
        if fernet is None:
            # Programs that only read seldom open a seal, and the import takes a while.
            from cryptography.fernet import Fernet  # noqa: PLC0415

            fernet = self._fernets[label] = Fernet(self._keys[label])
        return fernet

    def is_sealed(self, text: str | bytes) -> bool:
        """Whether this is a sealed text, whatever its key."""
        return _begins(text, _PREFIX)

    def is_current(self, text: str | bytes) -> bool:
        """Whether it is sealed with the first key; without keys, whether it is not sealed."""
        if not self._keys:
            return not self.is_sealed(text)
        return _begins(text, self._start)


def _begins(text: str | bytes, start: str) -> bool:
    return text.startswith(start) if isinstance(text, str) else text.startswith(start.encode())
