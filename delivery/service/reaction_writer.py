"""Creation and changes of reactions."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Final

from delivery.errors import InvalidReaction, InvalidSecret, MissingKey
from delivery.message.redaction.calls import secret_parts
from delivery.message.signing import generate_secret, kind_of, parse_secret, public_key
from delivery.message.signing.stored_secrets import encode_signing, rotate_signing
from delivery.message.storage.calls import StoredCall, decode_params, encode_params, encode_redacted
from delivery.models import ReactionState, SignatureKind, SigningSecret, TlsOptions
from delivery.service.calls import CallOptions, build_params, changed_params, check_known
from delivery.service.checks import (
    check_id,
    check_priority,
    check_seconds,
    check_tenant,
    check_text,
    check_word,
)
from delivery.service.reaction_checks import (
    check_condition,
    check_event_types,
    check_metadata,
    check_reason,
    checked_fields,
)
from delivery.service.stored_reaction import find_reaction, no_such_reaction
from delivery.store import endpoint_health, reactions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from delivery.clock import Clock, IdFactory
    from delivery.message.storage.encryption import Cipher
    from delivery.models import Reaction
    from delivery.settings import Settings
    from delivery.store.driver.connection import Pool
    from delivery.store.reactions import StoredReaction

__all__ = ["ReactionChanges", "ReactionWriter"]

_UPDATE_TRIES: Final = 20
_LONGEST_KEPT: Final = 365 * 86_400.0


class ReactionChanges(CallOptions, total=False):
    """Options of `update`."""

    area_id: str | None
    name: str
    event_types: Sequence[str]
    condition: str | None
    priority: int
    state: str
    """`enabled` or `disabled`."""
    state_reason: str | None
    """Reason of the disabled state."""
    metadata: Mapping[str, str]
    """Replaces all metadata; an empty mapping removes it."""


class ReactionWriter:
    """Writer of reactions, separate from `Reactions` so that readers do not import it."""

    def __init__(
        self, pool: Pool, clock: Clock, ids: IdFactory, cipher: Cipher, settings: Settings
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._ids = ids
        self._cipher = cipher
        self._settings = settings

    async def create(
        self,
        call: CallOptions,
        verb: Callable[..., object],
        *,
        name: str,
        event_types: Sequence[str],
        condition: str | None,
        priority: int,
        area_id: str | None,
        metadata: Mapping[str, str] | None,
        tenant_id: str,
    ) -> Reaction:
        """Check and write a new reaction; see `Reactions.create`, the `verb`."""
        params = build_params(call, self._settings.retry.policy(), self._settings.http, verb=verb)
        written = await reactions.insert(
            self._pool,
            reaction_id=self._ids.new(),
            tenant_id=check_tenant(tenant_id),
            area_id=None if area_id is None else check_text("area_id", area_id),
            name=check_text("name", name),
            event_types=check_event_types(event_types),
            condition=check_condition(condition),
            priority=check_priority(priority),
            metadata={} if metadata is None else check_metadata(metadata),
            params=params,
            call=encode_params(replace(params, secrets=()), self._cipher),
            signing=encode_signing(params.secrets, self._cipher),
        )
        return written.shown

    async def update(
        self,
        changes: ReactionChanges,
        verb: Callable[..., object],
        reaction_id: UUID | str,
        *,
        tenant_id: str,
    ) -> Reaction:
        """Check and write changes; see `Reactions.update`, the `verb`."""
        check_known(changes, ReactionChanges)
        for _ in range(_UPDATE_TRIES):
            stored = await find_reaction(self._pool, reaction_id, tenant_id)
            changed, call = self._change(stored, changes, verb)
            signing = None
            if "secret" in changes or "secrets" in changes:
                signing = encode_signing(changed.params.secrets, self._cipher)
            written = await reactions.update(
                self._pool, changed, call, signing, stored.signing_version
            )
            if written is not None:
                return written.shown
        raise _changed_by_others(reaction_id)

    async def rotate_secret(
        self,
        reaction_id: UUID | str,
        secret: str | None,
        keep_for: float | None,
        *,
        kind: SignatureKind | str | None,
        tenant_id: str,
    ) -> SigningSecret:
        """Write a new signing secret; see `Reactions.rotate_secret`."""
        check_seconds("keep_for", keep_for, _LONGEST_KEPT)
        wanted = check_word("kind", kind, SignatureKind)
        if secret is not None:
            parse_secret(secret)
            if wanted not in {None, kind_of(secret)}:
                message = f"the secret given is one of {kind_of(secret)}, not of {wanted}"
                raise InvalidSecret(message)
        for _ in range(_UPDATE_TRIES):
            stored = await find_reaction(self._pool, reaction_id, tenant_id)
            first = stored.shown.secrets[0].kind if stored.shown.secrets else SignatureKind.V1
            made = secret or generate_secret(wanted or first)
            now = self._clock.now()
            ends = inf if keep_for is None else now + keep_for
            signing = rotate_signing(stored.signing, made, self._cipher, now=now, expires_at=ends)
            key = stored.shown.id
            if await reactions.rotate(self._pool, key, tenant_id, signing, stored.signing_version):
                return SigningSecret(made, kind_of(made), public_key(made))
        raise _changed_by_others(reaction_id)

    async def reset(self, reaction_id: UUID | str, *, tenant_id: str) -> None:
        """Reset the health of an endpoint; see `Reactions.reset`."""
        key = check_id("reaction id", reaction_id)
        if not await endpoint_health.reset(self._pool, key, check_tenant(tenant_id)):
            raise no_such_reaction(key, tenant_id)

    def _change(
        self, stored: StoredReaction, changes: ReactionChanges, verb: Callable[..., object]
    ) -> tuple[Reaction, StoredCall]:
        """Return the changed reaction and the stored form of its call.

        Raises:
            MissingKey: If its secrets cannot be decrypted, and the changes do not replace all.
        """
        if not changes.keys() & CallOptions.__annotations__.keys():
            # The stored call stays unchanged byte for byte, even if it is unreadable or invalid.
            return self._changed(stored.shown, changes, verb), stored.call
        try:
            current = decode_params(stored.call, self._cipher)
        except MissingKey:
            return self._change_unopened(stored, changes, verb)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _unreadable(stored.shown.id) from error
        changed = self._changed(replace(stored.shown, params=current), changes, verb)
        return changed, encode_params(replace(changed.params, secrets=()), self._cipher)

    def _change_unopened(
        self, stored: StoredReaction, changes: ReactionChanges, verb: Callable[..., object]
    ) -> tuple[Reaction, StoredCall]:
        """Apply changes without the key: copy the encrypted values, provided that none changes."""
        shown = replace(stored.shown.params, secrets=())
        # A certificate is checked together with its key.
        checkable = replace(shown, tls=TlsOptions(shown.tls.ca))
        changed = self._changed(replace(stored.shown, params=checkable), changes, verb)
        params = changed.params
        if "tls" not in changes:
            params = replace(params, tls=shown.tls)
            changed = replace(changed, params=params)
        visible = replace(params, secrets=())
        if secret_parts(visible) == secret_parts(shown):
            return changed, StoredCall(encode_redacted(visible), stored.call.credentials)
        try:
            return changed, encode_params(visible, self._cipher)
        except InvalidReaction:
            # The error names the missing key.
            self._cipher.decrypt(stored.call.credentials)
            raise

    def _changed(
        self, current: Reaction, changes: ReactionChanges, verb: Callable[..., object]
    ) -> Reaction:
        """Return the changed reaction, with checks of the changed values only."""
        state = check_word("state", changes.get("state"), ReactionState) or current.state
        if state is ReactionState.DELETED:
            message = "state cannot be deleted; use reactions.delete"
            raise InvalidReaction(message)
        return replace(
            current,
            state=state,
            state_reason=check_reason(state, changes.get("state_reason", current.state_reason)),
            params=changed_params(
                current.params,
                changes,
                self._settings.retry.policy(),
                self._settings.http,
                verb,
            ),
            **checked_fields(changes),
        )


def _changed_by_others(reaction_id: UUID | str) -> InvalidReaction:
    return InvalidReaction(
        f"reaction {reaction_id} was changed concurrently several times; try again"
    )


def _unreadable(reaction_id: UUID) -> InvalidReaction:
    return InvalidReaction(
        f"the stored call of reaction {reaction_id} is unreadable; delete it, and create it again"
    )
