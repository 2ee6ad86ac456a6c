"""`engine.secrets`: encryption of stored secrets with a new key."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import UUID

from delivery.errors import InvalidInput, InvalidSetting, MissingKey
from delivery.message.signing.stored_secrets import reencrypt_signing
from delivery.message.storage.calls import decode_params, encode_params
from delivery.store import encrypted_rows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from delivery.message.storage.encryption import Cipher
    from delivery.store.driver.connection import Executor, Pool
    from delivery.store.encrypted_rows import EncryptedCall

__all__ = ["Reencrypted", "Secrets"]

logger = logging.getLogger(__name__)

_BATCH: Final = 200
_FIRST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Reencrypted:
    """Counts of the rows with secrets."""

    examined: int
    changed: int
    """Rows that are now encrypted with the first key."""
    unreadable: int
    """Unchanged rows, which are damaged or encrypted with a missing key."""


class Secrets:
    """Encryption of the stored secrets of all tenants with the first key."""

    def __init__(self, pool: Pool, cipher: Cipher) -> None:
        self._pool = pool
        self._cipher = cipher

    async def check(self) -> None:
        """Whether secrets of reactions can be opened; `Engine.workers` asks before it begins.

        Where only some of the keys are missing, the log tells of it, the jobs that need them wait,
        and all else is delivered.

        Raises:
            MissingKey: if secrets of reactions are encrypted, and none of them with a key of ours.
        """
        held = await encrypted_rows.look(self._pool)
        foreign = sorted(set(held) - {"", *self._cipher.labels})
        if not foreign:
            return
        message = (
            f"{sum(held[label] for label in foreign)} secrets of reactions are encrypted with keys"
            f" that are not here ({', '.join(foreign)}); add them to secrets.keys"
            " (DELIVERY_SECRETS_KEYS)"
        )
        if set(held) <= {"", *foreign}:
            raise MissingKey(message)
        logger.error("%s: until then, jobs that need them wait", message)

    async def reencrypt(self, on_batch: Callable[[Reencrypted], None] | None = None) -> Reencrypted:
        """Encrypt all secrets of reactions, versions and direct jobs with the first key.

        Works in batches beside running workers. Cut off, it can be begun again: what is done is
        passed over. When it has changed nothing any more, and found nothing unreadable, no older
        key is needed.

        Args:
            on_batch: Called with what has been done so far.

        Raises:
            InvalidSetting: if there is no key.
        """
        given: object = on_batch
        if given is not None and not callable(given):
            message = f"on_batch must be a function, not {type(given).__name__}"
            raise InvalidInput(message)
        if not self._cipher.has_keys:
            message = (
                "there is no key in secrets.keys to encrypt with; make one with"
                " `delivery secrets generate-key`"
            )
            raise InvalidSetting(message)
        count = _Count(on_batch)
        await self._signing(count)
        await self._calls(count, encrypted_rows.list_calls, encrypted_rows.write_calls)
        await self._calls(
            count, encrypted_rows.list_direct_calls, encrypted_rows.write_direct_calls
        )
        return count.result

    async def _signing(self, count: _Count) -> None:
        after = _FIRST
        while rows := await encrypted_rows.list_signing(self._pool, after, _BATCH):
            after = rows[-1][0]
            changes: list[tuple[UUID, str, str]] = []
            unreadable = 0
            for reaction_id, before in rows:
                try:
                    following = reencrypt_signing(before, self._cipher)
                except (MissingKey, LookupError, TypeError, ValueError) as error:
                    unreadable += _unreadable(
                        f"the signing secrets of reaction {reaction_id}", error
                    )
                    continue
                if following != before:
                    changes.append((reaction_id, before, following))
            changed = await encrypted_rows.write_signing(self._pool, changes) if changes else 0
            count.add(len(rows), changed, unreadable)

    async def _calls(
        self,
        count: _Count,
        list_calls: Callable[[Executor, tuple[UUID, int], int], Awaitable[list[EncryptedCall]]],
        write_calls: Callable[[Executor, Sequence[EncryptedCall]], Awaitable[int]],
    ) -> None:
        after = (_FIRST, 0)
        while rows := await list_calls(self._pool, after, _BATCH):
            after = rows[-1][:2]
            changes: list[EncryptedCall] = []
            unreadable = 0
            for row in rows:
                try:
                    call = encode_params(decode_params(row.call, self._cipher), self._cipher)
                except (MissingKey, LookupError, TypeError, ValueError) as error:
                    unreadable += _unreadable(f"what is sent by {row.id}", error)
                    continue
                # Each ciphertext differs, so where the key is the first, the rest is compared: an
                # earlier version may have left something in clear there that is redacted now.
                is_current = self._cipher.is_current(row.call.credentials)
                if call.params != row.call.params or not (is_current or call == row.call):
                    changes.append(row._replace(call=call))
            changed = await write_calls(self._pool, changes) if changes else 0
            count.add(len(rows), changed, unreadable)


class _Count:
    def __init__(self, on_batch: Callable[[Reencrypted], None] | None) -> None:
        self.result = Reencrypted(0, 0, 0)
        self._on_batch = on_batch

    def add(self, examined: int, changed: int, unreadable: int) -> None:
        """Count one batch."""
        so_far = self.result
        self.result = Reencrypted(
            so_far.examined + examined,
            so_far.changed + changed,
            so_far.unreadable + unreadable,
        )
        if self._on_batch is not None:
            self._on_batch(self.result)


def _unreadable(what: str, error: Exception) -> int:
    logger.warning("%s cannot be read, and is left as it is: %s", what, error)
    return 1
