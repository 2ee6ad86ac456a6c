"""`engine.secrets`: encrypt stored secrets with a new key."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from uuid import UUID

from delivery.errors import InvalidInput, InvalidSetting, MissingKey
from delivery.message.signing.stored_secrets import reencrypt_signing
from delivery.message.storage.calls import decode_params, encode_params
from delivery.store import encrypted_rows
from delivery.store.encrypted_rows import SigningChange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from delivery.message.storage.encryption import Cipher
    from delivery.store.driver.connection import Pool, Queryable
    from delivery.store.encrypted_rows import EncryptedCall

__all__ = ["Reencrypted", "Secrets"]

logger = logging.getLogger(__name__)

_BATCH: Final = 200
_FIRST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Reencrypted:
    """Result counts for the rows with secrets."""

    examined: int
    changed: int
    """Rows now encrypted with the first key."""
    unreadable: int
    """Rows left unchanged, because their key is missing or they are damaged."""


class Secrets:
    """Verbs for the stored secrets of all tenants."""

    def __init__(self, pool: Pool, cipher: Cipher) -> None:
        self._pool = pool
        self._cipher = cipher

    async def check(self) -> None:
        """Check that the secrets of reactions can be decrypted. `Engine.workers` calls this first.

        If only some keys are missing, a warning is logged, the affected jobs wait, and all others
        are delivered.

        Raises:
            MissingKey: If reactions have encrypted secrets and no key decrypts them.
        """
        held = await encrypted_rows.count_keys(self._pool)
        foreign = sorted(set(held) - {"", *self._cipher.labels})
        if not foreign:
            return
        message = (
            f"{sum(held[label] for label in foreign)} secrets of reactions are encrypted with keys"
            f" that are not in secrets.keys ({', '.join(foreign)}); add them"
            " (DELIVERY_SECRETS_KEYS)"
        )
        if set(held) <= {"", *foreign}:
            raise MissingKey(message)
        logger.error("%s; until then, jobs that need them wait", message)

    async def reencrypt(self, on_batch: Callable[[Reencrypted], None] | None = None) -> Reencrypted:
        """Encrypt all stored secrets with the first key: reactions, versions, direct jobs.

        This works in batches while workers run. After an interruption it continues where it
        stopped. Once it changes nothing and finds nothing unreadable, the older keys are not needed
        any more.

        Args:
            on_batch: Called with the counts so far.

        Raises:
            InvalidSetting: If there is no key.
        """
        given: object = on_batch
        if given is not None and not callable(given):
            message = f"on_batch must be a function, not {type(given).__name__}"
            raise InvalidInput(message)
        if not self._cipher.has_keys:
            message = (
                "there is no key in secrets.keys to encrypt with; generate one with"
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
            after = rows[-1].reaction_id
            changes: list[SigningChange] = []
            unreadable = 0
            for row in rows:
                try:
                    following = reencrypt_signing(row.signing, self._cipher)
                except (MissingKey, LookupError, TypeError, ValueError) as error:
                    unreadable += _unreadable(
                        f"the signing secrets of reaction {row.reaction_id}", error
                    )
                    continue
                if following != row.signing:
                    changes.append(SigningChange(row.reaction_id, row.signing, following))
            changed = await encrypted_rows.write_signing(self._pool, changes) if changes else 0
            count.add(len(rows), changed, unreadable)

    async def _calls(
        self,
        count: _Count,
        list_calls: Callable[[Queryable, tuple[UUID, int], int], Awaitable[list[EncryptedCall]]],
        write_calls: Callable[[Queryable, Sequence[EncryptedCall]], Awaitable[int]],
    ) -> None:
        after = (_FIRST, 0)
        while rows := await list_calls(self._pool, after, _BATCH):
            after = (rows[-1].id, rows[-1].version)
            changes: list[EncryptedCall] = []
            unreadable = 0
            for row in rows:
                try:
                    call = encode_params(decode_params(row.call, self._cipher), self._cipher)
                except (MissingKey, LookupError, TypeError, ValueError) as error:
                    unreadable += _unreadable(f"the call {row.id}", error)
                    continue
                # Each encryption differs, so with the first key only the rest is compared. An
                # earlier version may have left values in plain text that are redacted now.
                is_current = self._cipher.is_current(row.call.credentials)
                if call.params != row.call.params or not (is_current or call == row.call):
                    changes.append(replace(row, call=call))
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
    logger.warning("%s is unreadable and stays unchanged: %s", what, error)
    return 1
