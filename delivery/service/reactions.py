"""`engine.reactions`: what is to be done about triggers."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Final

from delivery.errors import InvalidReaction, InvalidSecret, MissingKey, NotFound
from delivery.message.redaction.calls import secret_parts
from delivery.message.signing import generate_secret, kind_of, parse_secret, public_key
from delivery.message.signing.stored_secrets import encode_signing, rotate_signing
from delivery.message.storage.calls import StoredCall, decode_params, encode_params, encode_redacted
from delivery.models import (
    HttpParams,
    Page,
    Reaction,
    ReactionState,
    SignatureKind,
    SigningSecret,
    TlsOptions,
)
from delivery.service.calls import CallOptions, build_params, changed_params, check_known
from delivery.service.checks import (
    check_flag,
    check_id,
    check_priority,
    check_seconds,
    check_tenant,
    check_text,
    check_word,
)
from delivery.service.cursors import check_limit, decode_cursor, page_of
from delivery.service.previews import Previews
from delivery.service.reaction_checks import (
    check_condition,
    check_event_types,
    check_reason,
    checked_fields,
)
from delivery.store import endpoint_health, reactions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack
    from uuid import UUID

    from delivery.clock import Clock, IdFactory
    from delivery.http.transport import Transport
    from delivery.message.storage.encryption import Cipher
    from delivery.settings import Settings
    from delivery.store.driver.connection import Pool
    from delivery.store.reactions import StoredReaction

__all__ = ["DEFAULT_PRIORITY", "ReactionChanges", "Reactions"]

DEFAULT_PRIORITY: Final = 100
_UPDATE_TRIES: Final = 20
_LONGEST_KEPT: Final = 365 * 86_400.0


class ReactionChanges(CallOptions, total=False):
    """What `update` can change."""

    area_id: str | None
    name: str
    event_types: Sequence[str]
    condition: str | None
    priority: int
    state: str
    """`enabled` or `disabled`."""
    state_reason: str | None
    """Why it is disabled."""


class Reactions:
    """Create, read, change and delete reactions. Every call is scoped by `tenant_id`."""

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        ids: IdFactory,
        cipher: Cipher,
        settings: Settings,
        transport: Transport,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._ids = ids
        self._cipher = cipher
        self._settings = settings
        previews = Previews(pool, clock, ids, cipher, settings, transport)
        self.preview = previews.show
        self.test = previews.send

    async def create(
        self,
        *,
        name: str,
        event_types: Sequence[str] = ("*",),
        condition: str | None = None,
        priority: int = DEFAULT_PRIORITY,
        area_id: str | None = None,
        tenant_id: str = "default",
        **call: Unpack[CallOptions],
    ) -> Reaction:
        """Make a reaction; triggers written from now on fan out to it.

        Args:
            name: What people call it; need not be unique.
            event_types: Exact names, dotted prefixes (`order.*`), or `*` for all.
            condition: A JMESPath expression over the payload; it matches where it is truthy.
            priority: Of its jobs, lower first within this reaction; 0 to 32,767.
            area_id: The automation it belongs to, for the caller's own use.
            tenant_id: Whose it is.
            call: The HTTP call; see `CallOptions`. `url` is needed.

        Returns:
            The reaction as it may be shown: what is secret in it is `***`.

        Raises:
            InvalidInput: if a value cannot be used; nothing is written.
        """
        params = self._params(call)
        written = await reactions.insert(
            self._pool,
            reaction_id=self._ids.new(),
            tenant_id=check_tenant(tenant_id),
            area_id=None if area_id is None else check_text("area_id", area_id),
            name=check_text("name", name),
            event_types=check_event_types(event_types),
            condition=check_condition(condition),
            priority=check_priority(priority),
            params=params,
            call=encode_params(replace(params, secrets=()), self._cipher),
            signing=encode_signing(params.secrets, self._cipher),
        )
        return written.shown

    async def get(
        self, reaction_id: UUID | str, *, reveal: bool = False, tenant_id: str = "default"
    ) -> Reaction:
        """One reaction.

        Args:
            reaction_id: Which.
            reveal: Whether to give what is secret in it as it is, and not as `***`: signing
                secrets, the TLS key, and values of headers, query and body that look secret.
            tenant_id: Whose it is.

        Raises:
            NotFound: if there is none with this id in this tenant.
            MissingKey: if it is to be revealed, and was encrypted with a key that is not here.
        """
        check_flag("reveal", reveal)
        stored = await self._stored(reaction_id, tenant_id)
        return stored.revealed(self._cipher) if reveal else stored.shown

    async def list(
        self,
        *,
        tenant_id: str = "default",
        state: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Reaction]:
        """Reactions in the order they were made; deleted ones only with `state="deleted"`."""
        found = await reactions.list_page(
            self._pool,
            tenant_id=check_tenant(tenant_id),
            after=decode_cursor(cursor),
            state=check_word("state", state, ReactionState),
            limit=check_limit(limit) + 1,
        )
        return page_of([stored.shown for stored in found], limit)

    async def update(
        self,
        reaction_id: UUID | str,
        *,
        tenant_id: str = "default",
        **changes: Unpack[ReactionChanges],
    ) -> Reaction:
        """Change what is given and leave the rest.

        Jobs already made run as they were made, but keep to the new limits at once, and are signed
        with the new secrets. `***` for a value that was shown so means that it stays.

        Raises:
            NotFound: if there is none with this id in this tenant.
            InvalidInput: if a value cannot be used; nothing is written.
            MissingKey: if something secret in it would be lost, as its key is not here.
        """
        check_known(changes, ReactionChanges)
        for _ in range(_UPDATE_TRIES):
            stored = await self._stored(reaction_id, tenant_id)
            changed, call = self._change(stored, changes)
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
        secret: str | None = None,
        keep_for: float | None = 86_400.0,
        *,
        kind: SignatureKind | str | None = None,
        tenant_id: str = "default",
    ) -> SigningSecret:
        """Sign with a new secret at once, and with the former ones too for a while.

        This holds for jobs made before as well; calls that a worker has claimed already are signed
        as before.

        Args:
            reaction_id: Which.
            secret: The new one; None: one is made.
            keep_for: Seconds for which the former ones still sign, rounded up to a whole second of
                the clock; 0: no longer; None: until the next rotation. What expires sooner does so.
            kind: What to make, `v1` or `v1a`; None: of the kind of the first one now, or `v1`.
            tenant_id: Whose it is.

        Returns:
            The new secret as it is, which is not shown again unless it is asked for.

        Raises:
            NotFound: if there is none with this id in this tenant.
            InvalidInput: if a value cannot be used, there would be too many secrets, or the given
                one is in use already; nothing is written.
        """
        check_seconds("keep_for", keep_for, _LONGEST_KEPT)
        wanted = check_word("kind", kind, SignatureKind)
        if secret is not None:
            parse_secret(secret)
            if wanted not in {None, kind_of(secret)}:
                message = f"the secret given is one of {kind_of(secret)}, not of {wanted}"
                raise InvalidSecret(message)
        for _ in range(_UPDATE_TRIES):
            stored = await self._stored(reaction_id, tenant_id)
            first = stored.shown.secrets[0].kind if stored.shown.secrets else SignatureKind.V1
            made = secret or generate_secret(wanted or first)
            now = self._clock.now()
            ends = inf if keep_for is None else now + keep_for
            signing = rotate_signing(stored.signing, made, self._cipher, now=now, expires_at=ends)
            key = stored.shown.id
            if await reactions.rotate(self._pool, key, tenant_id, signing, stored.signing_version):
                return SigningSecret(made, kind_of(made), public_key(made))
        raise _changed_by_others(reaction_id)

    async def enable(self, reaction_id: UUID | str, *, tenant_id: str = "default") -> Reaction:
        """Let a reaction take part again, as if its endpoint had never been in trouble.

        Raises:
            NotFound: if there is none with this id in this tenant.
        """
        return await self.update(reaction_id, tenant_id=tenant_id, state=ReactionState.ENABLED)

    async def disable(
        self, reaction_id: UUID | str, *, reason: str | None = None, tenant_id: str = "default"
    ) -> Reaction:
        """Keep a reaction from taking part; its waiting jobs are skipped when their turn comes.

        Args:
            reaction_id: Which.
            reason: Shown with the reaction.
            tenant_id: Whose.

        Raises:
            NotFound: if there is none with this id in this tenant.
        """
        changes: ReactionChanges = {"state": ReactionState.DISABLED, "state_reason": reason}
        return await self.update(reaction_id, tenant_id=tenant_id, **changes)

    async def reset(self, reaction_id: UUID | str, *, tenant_id: str = "default") -> Reaction:
        """Forget that a reaction's endpoint was in trouble: its calls go on within seconds.

        Raises:
            NotFound: if there is none with this id in this tenant.
        """
        key = check_id("reaction id", reaction_id)
        if not await endpoint_health.reset(self._pool, key, check_tenant(tenant_id)):
            raise _not_found(key, tenant_id)
        return await self.get(key, tenant_id=tenant_id)

    async def delete(self, reaction_id: UUID | str, *, tenant_id: str = "default") -> None:
        """Delete a reaction; its waiting jobs are skipped, its records stay.

        Raises:
            NotFound: if there is none with this id in this tenant.
        """
        key = check_id("reaction id", reaction_id)
        if not await reactions.delete(self._pool, key, check_tenant(tenant_id)):
            raise _not_found(key, tenant_id)

    async def _stored(self, reaction_id: UUID | str, tenant_id: str) -> StoredReaction:
        key = check_id("reaction id", reaction_id)
        found = await reactions.get(self._pool, key, check_tenant(tenant_id))
        if found is None:
            raise _not_found(key, tenant_id)
        return found

    def _change(
        self, stored: StoredReaction, changes: ReactionChanges
    ) -> tuple[Reaction, StoredCall]:
        """The reaction with the changes, and how its call is stored.

        Raises:
            MissingKey: if what is secret in it cannot be read, and is not all given anew.
        """
        if not changes.keys() & CallOptions.__annotations__.keys():
            # The stored call is kept byte for byte, also where it could not be read or saved again.
            return self._changed(stored.shown, changes), stored.call
        try:
            current = decode_params(stored.call, self._cipher)
        except MissingKey:
            return self._change_unopened(stored, changes)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _unreadable(stored.shown.id) from error
        changed = self._changed(replace(stored.shown, params=current), changes)
        return changed, encode_params(replace(changed.params, secrets=()), self._cipher)

    def _change_unopened(
        self, stored: StoredReaction, changes: ReactionChanges
    ) -> tuple[Reaction, StoredCall]:
        """Change it without the key: carry over the encrypted part, as long as all of it stays."""
        shown = replace(stored.shown.params, secrets=())
        # A certificate cannot be checked without its key.
        checkable = replace(shown, tls=TlsOptions(shown.tls.ca))
        changed = self._changed(replace(stored.shown, params=checkable), changes)
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
            # Says which key it is that is missing.
            self._cipher.decrypt(stored.call.credentials)
            raise

    def _params(self, call: CallOptions) -> HttpParams:
        return build_params(
            call, self._settings.retry.policy(), self._settings.http, verb=Reactions.create
        )

    def _changed(self, current: Reaction, changes: ReactionChanges) -> Reaction:
        """The reaction with the changes; only changed values are checked, and may be refused."""
        state = check_word("state", changes.get("state"), ReactionState) or current.state
        if state is ReactionState.DELETED:
            message = "a reaction is deleted by reactions.delete, not by its state"
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
                Reactions.update,
            ),
            **checked_fields(changes),
        )


def _changed_by_others(reaction_id: UUID | str) -> InvalidReaction:
    return InvalidReaction(
        f"reaction {reaction_id} is being changed by others all the time; try again"
    )


def _unreadable(reaction_id: UUID) -> InvalidReaction:
    return InvalidReaction(
        f"the stored call of reaction {reaction_id} cannot be read; delete it, and make it again"
    )


def _not_found(reaction_id: UUID, tenant_id: str) -> NotFound:
    return NotFound(f"there is no reaction {reaction_id} in tenant {tenant_id!r}")
