"""`engine.reactions`: manage reactions (webhook endpoints)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from delivery.models import ReactionState
from delivery.service.checks import (
    DEFAULT_PRIORITY,
    check_flag,
    check_id,
    check_tenant,
    check_word,
)
from delivery.service.cursors import check_limit, decode_cursor, page_of
from delivery.service.stored_reaction import find_reaction, no_such_reaction
from delivery.store import reactions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Unpack
    from uuid import UUID

    from delivery.message.storage.encryption import Cipher
    from delivery.models import (
        Page,
        Reaction,
        RequestPreview,
        SignatureKind,
        SigningSecret,
        TestCall,
    )
    from delivery.service.calls import CallOptions
    from delivery.service.previews import Previews
    from delivery.service.reaction_writer import ReactionChanges, ReactionWriter
    from delivery.store.driver.connection import Pool

__all__ = ["Reactions"]


class Reactions:
    """Verbs for reactions. Each call is scoped by `tenant_id`."""

    def __init__(
        self,
        pool: Pool,
        cipher: Cipher,
        writer: Callable[[], ReactionWriter],
        previews: Callable[[], Previews],
    ) -> None:
        self._pool = pool
        self._cipher = cipher
        self._writer = writer
        self._previews = previews

    async def create(
        self,
        *,
        name: str,
        event_types: Sequence[str] = ("*",),
        condition: str | None = None,
        priority: int = DEFAULT_PRIORITY,
        area_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
        tenant_id: str = "default",
        **call: Unpack[CallOptions],
    ) -> Reaction:
        """Create a reaction. Later triggers fan out to it.

        Args:
            name: Display name; not necessarily unique.
            event_types: Event types, dotted prefixes (`order.*`), or `*` for all.
            condition: JMESPath expression over the payload; matches if the result is truthy.
            priority: Priority of its jobs within this reaction, from 0 to 32,767; lower first.
            area_id: Automation of the reaction, for filters of the caller.
            metadata: Strings for the use of the caller, up to 50 entries.
            tenant_id: Tenant of the reaction.
            call: Options of the HTTP call; see `CallOptions`. `url` is required.

        Returns:
            The reaction with `***` in place of secrets.

        Raises:
            InvalidInput: If a value is invalid; nothing is written.
        """
        return await self._writer().create(
            call,
            Reactions.create,
            name=name,
            event_types=event_types,
            condition=condition,
            priority=priority,
            area_id=area_id,
            metadata=metadata,
            tenant_id=tenant_id,
        )

    async def get(
        self, reaction_id: UUID | str, *, reveal: bool = False, tenant_id: str = "default"
    ) -> Reaction:
        """Return one reaction.

        Args:
            reaction_id: Id of the reaction.
            reveal: True to return secrets in plain text instead of `***`: signing secrets, the TLS
                key, and secret values of headers, query and body.
            tenant_id: Tenant of the reaction.

        Raises:
            NotFound: If this tenant has none with this id.
            MissingKey: If `reveal` requires a key that is not in `secrets.keys`.
        """
        check_flag("reveal", reveal)
        stored = await find_reaction(self._pool, reaction_id, tenant_id)
        return stored.revealed(self._cipher) if reveal else stored.shown

    async def list(
        self,
        *,
        tenant_id: str = "default",
        state: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Reaction]:
        """List reactions by creation time; deleted ones only with `state="deleted"`."""
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
        """Change the given fields.

        Existing jobs run with the former call, but with the new limits and signing secrets. `***`
        for a redacted value leaves it unchanged.

        Raises:
            NotFound: If this tenant has none with this id.
            InvalidInput: If a value is invalid; nothing is written.
            MissingKey: If a secret would be lost because its key is missing.
        """
        return await self._writer().update(
            changes, Reactions.update, reaction_id, tenant_id=tenant_id
        )

    async def rotate_secret(
        self,
        reaction_id: UUID | str,
        secret: str | None = None,
        keep_for: float | None = 86_400.0,
        *,
        kind: SignatureKind | str | None = None,
        tenant_id: str = "default",
    ) -> SigningSecret:
        """Sign with a new secret immediately, and with the former ones for a limited time.

        This includes existing jobs, except calls that a worker has already claimed.

        Args:
            reaction_id: Id of the reaction.
            secret: New secret. Default: generated.
            keep_for: Seconds for which the former secrets still sign, rounded up to a whole second
                of the clock; 0 stops them immediately. Default: until the next rotation. Secrets
                that expire earlier still do.
            kind: Kind of the generated secret, `v1` or `v1a`. Default: the kind of the current
                first secret, or `v1`.
            tenant_id: Tenant of the reaction.

        Returns:
            The new secret in plain text. Later reads return it only with `reveal`.

        Raises:
            NotFound: If this tenant has none with this id.
            InvalidInput: If a value is invalid, there are too many secrets, or the secret is in use
                already; nothing is written.
        """
        return await self._writer().rotate_secret(
            reaction_id, secret, keep_for, kind=kind, tenant_id=tenant_id
        )

    async def enable(self, reaction_id: UUID | str, *, tenant_id: str = "default") -> Reaction:
        """Enable a reaction and reset the health of its endpoint.

        Raises:
            NotFound: If this tenant has none with this id.
        """
        return await self.update(reaction_id, tenant_id=tenant_id, state=ReactionState.ENABLED)

    async def disable(
        self, reaction_id: UUID | str, *, reason: str | None = None, tenant_id: str = "default"
    ) -> Reaction:
        """Disable a reaction. Its waiting jobs are skipped once they are due.

        Args:
            reaction_id: Id of the reaction.
            reason: Reason for display.
            tenant_id: Tenant of the reaction.

        Raises:
            NotFound: If this tenant has none with this id.
        """
        changes: ReactionChanges = {"state": ReactionState.DISABLED, "state_reason": reason}
        return await self.update(reaction_id, tenant_id=tenant_id, **changes)

    async def reset(self, reaction_id: UUID | str, *, tenant_id: str = "default") -> Reaction:
        """Reset the health of a reaction's endpoint. Calls resume within seconds.

        Raises:
            NotFound: If this tenant has none with this id.
        """
        await self._writer().reset(reaction_id, tenant_id=tenant_id)
        return await self.get(reaction_id, tenant_id=tenant_id)

    async def delete(self, reaction_id: UUID | str, *, tenant_id: str = "default") -> None:
        """Delete a reaction. Its waiting jobs are skipped; its records remain.

        Raises:
            NotFound: If this tenant has none with this id.
        """
        key = check_id("reaction id", reaction_id)
        if not await reactions.delete(self._pool, key, check_tenant(tenant_id)):
            raise no_such_reaction(key, tenant_id)

    async def preview(
        self,
        reaction_id: UUID | str,
        payload: Any,
        *,
        type: str = "test",  # noqa: A002 - the field's name
        reveal: bool = False,
        tenant_id: str = "default",
    ) -> RequestPreview:
        """Return the exact request for an event, without sending it.

        Args:
            reaction_id: Id of the reaction.
            payload: Payload of the event, as for `trigger`.
            type: Event type.
            reveal: True to return secrets in plain text instead of `***`.
            tenant_id: Tenant of the reaction.

        Raises:
            NotFound: If this tenant has no such reaction.
            InvalidInput: If the payload or event type is invalid.
            InvalidReaction: If a placeholder has no value or an unsuitable one.
        """
        return await self._previews().show(
            reaction_id, payload, type=type, reveal=reveal, tenant_id=tenant_id
        )

    async def test(
        self,
        reaction_id: UUID | str,
        payload: Any,
        *,
        type: str = "test",  # noqa: A002 - the field's name
        tenant_id: str = "default",
    ) -> TestCall:
        """Make one call for an event immediately, in this process.

        This creates no trigger, job or log row, is not retried, and does not affect the health of
        the endpoint. See `preview` for arguments and errors.
        """
        return await self._previews().send(reaction_id, payload, type=type, tenant_id=tenant_id)
