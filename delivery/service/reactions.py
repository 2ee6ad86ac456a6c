"""`engine.reactions`: what is to be done about triggers."""

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
    from collections.abc import Callable, Sequence
    from typing import Unpack
    from uuid import UUID

    from delivery.message.storage.encryption import Sealer
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
    """Create, read, change and delete reactions. Every call is scoped by `tenant_id`."""

    def __init__(
        self,
        pool: Pool,
        sealer: Sealer,
        writer: Callable[[], ReactionWriter],
        previews: Callable[[], Previews],
    ) -> None:
        self._pool = pool
        self._sealer = sealer
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
        return await self._writer().create(
            call,
            Reactions.create,
            name=name,
            event_types=event_types,
            condition=condition,
            priority=priority,
            area_id=area_id,
            tenant_id=tenant_id,
        )

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
            MissingKey: if it is to be revealed, and was sealed with a key that is not here.
        """
        check_flag("reveal", reveal)
        stored = await find_reaction(self._pool, reaction_id, tenant_id)
        return stored.revealed(self._sealer) if reveal else stored.shown

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
        return await self._writer().rotate_secret(
            reaction_id, secret, keep_for, kind=kind, tenant_id=tenant_id
        )

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
        await self._writer().reset(reaction_id, tenant_id=tenant_id)
        return await self.get(reaction_id, tenant_id=tenant_id)

    async def delete(self, reaction_id: UUID | str, *, tenant_id: str = "default") -> None:
        """Delete a reaction; its waiting jobs are skipped, its records stay.

        Raises:
            NotFound: if there is none with this id in this tenant.
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
        """The exact request for an event, without sending it.

        Args:
            reaction_id: Whose request.
            payload: The event's payload, as for `trigger`.
            type: The event's type.
            reveal: Whether to show what is secret in the request, and not `***`.
            tenant_id: Whose reaction it is.

        Raises:
            NotFound: if there is no such reaction in this tenant.
            InvalidInput: if the payload or type cannot be used.
            InvalidReaction: if a placeholder has no value, or one that cannot stand in its place.
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
        """Make the call for an event once, now, in this process.

        There is no trigger, job or log row of it, no other attempt, and it says nothing about the
        endpoint's health. Arguments and errors are those of `preview`.
        """
        return await self._previews().send(reaction_id, payload, type=type, tenant_id=tenant_id)
