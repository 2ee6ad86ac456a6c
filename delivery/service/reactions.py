"""`engine.reactions`: what is to be done about triggers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from delivery.errors import InvalidReaction, NotFound
from delivery.models import HttpParams, Page, Reaction, ReactionState
from delivery.policy.conditions import compile_condition
from delivery.policy.matching import validate_pattern
from delivery.service.calls import CallOptions, build_params, check_known
from delivery.service.checks import check_id, check_priority, check_text, check_word
from delivery.service.cursors import check_limit, decode_cursor, page_of
from delivery.store import health, reactions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Unpack
    from uuid import UUID

    from delivery.clock import IdFactory
    from delivery.settings import Settings
    from delivery.store.connection import Pool

__all__ = ["DEFAULT_PRIORITY", "ReactionChanges", "Reactions"]

DEFAULT_PRIORITY: Final = 100
_MAX_EVENT_TYPES: Final = 1_000
_UPDATE_TRIES: Final = 20


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

    def __init__(self, pool: Pool, ids: IdFactory, settings: Settings) -> None:
        self._pool = pool
        self._ids = ids
        self._settings = settings

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

        Raises:
            InvalidInput: if a value cannot be used; nothing is written.
        """
        return await reactions.insert(
            self._pool,
            reaction_id=self._ids.new(),
            tenant_id=check_text("tenant_id", tenant_id),
            area_id=None if area_id is None else check_text("area_id", area_id),
            name=check_text("name", name),
            event_types=_check_event_types(event_types),
            condition=_check_condition(condition),
            priority=check_priority(priority),
            params=self._params(call),
        )

    async def get(self, reaction_id: UUID | str, *, tenant_id: str = "default") -> Reaction:
        """One reaction.

        Raises:
            NotFound: if there is none with this id in this tenant.
        """
        key = check_id("reaction id", reaction_id)
        found = await reactions.get(self._pool, key, tenant_id)
        if found is None:
            raise _not_found(key, tenant_id)
        return found

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
            tenant_id=tenant_id,
            after=decode_cursor(cursor),
            state=check_word("state", state, ReactionState),
            limit=check_limit(limit) + 1,
        )
        return page_of(found, limit)

    async def update(
        self,
        reaction_id: UUID | str,
        *,
        tenant_id: str = "default",
        **changes: Unpack[ReactionChanges],
    ) -> Reaction:
        """Change what is given and leave the rest.

        Jobs already made run as they were made, but keep to the new limits at once.

        Raises:
            NotFound: if there is none with this id in this tenant.
            InvalidInput: if a value cannot be used; nothing is written.
        """
        check_known(changes, ReactionChanges)
        for _ in range(_UPDATE_TRIES):
            current = await self.get(reaction_id, tenant_id=tenant_id)
            changed = await reactions.update(self._pool, self._changed(current, changes))
            if changed is not None:
                return changed
        message = f"reaction {reaction_id} is being changed by others all the time; try again"
        raise InvalidReaction(message)

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
        if not await health.reset(self._pool, key, tenant_id):
            raise _not_found(key, tenant_id)
        return await self.get(key, tenant_id=tenant_id)

    async def delete(self, reaction_id: UUID | str, *, tenant_id: str = "default") -> None:
        """Delete a reaction; its waiting jobs are skipped, its records stay.

        Raises:
            NotFound: if there is none with this id in this tenant.
        """
        key = check_id("reaction id", reaction_id)
        if not await reactions.delete(self._pool, key, tenant_id):
            raise _not_found(key, tenant_id)

    def _params(self, call: CallOptions) -> HttpParams:
        return build_params(call, self._settings.retry.policy(), self._settings.http)

    def _changed(self, current: Reaction, changes: ReactionChanges) -> Reaction:
        params = current.params
        options: CallOptions = {
            "url": params.url,
            "method": params.method,
            "headers": params.headers,
            "query": params.query,
            "body": params.body,
            "compression": params.compression,
            "redirects": params.redirects,
            "timeout": params.timeout,
            "connect_timeout": params.connect_timeout,
            "retry": params.retry,
            "status_actions": dict(params.status_actions),
            "concurrency": params.concurrency,
            "rate_limit": params.rate_limit,
            "ordered": params.ordered,
            "live": params.live,
            "tls": params.tls,
        }
        if "secret" not in changes and "secrets" not in changes:
            options["secrets"] = params.secrets
        known = CallOptions.__annotations__
        for key, value in changes.items():
            if key in known:
                options[key] = value  # type: ignore[literal-required]
        state = check_word("state", changes.get("state"), ReactionState) or current.state
        if state is ReactionState.DELETED:
            message = "a reaction is deleted by reactions.delete, not by its state"
            raise InvalidReaction(message)
        return replace(
            current,
            area_id=changes.get("area_id", current.area_id),
            name=check_text("name", changes.get("name", current.name)),
            event_types=_check_event_types(changes.get("event_types", current.event_types)),
            condition=_check_condition(changes.get("condition", current.condition)),
            priority=check_priority(changes.get("priority", current.priority)),
            state=state,
            state_reason=_check_reason(state, changes.get("state_reason", current.state_reason)),
            params=self._params(options),
        )


def _check_event_types(event_types: Sequence[str]) -> tuple[str, ...]:
    if isinstance(event_types, str):
        message = f"event_types is the text {event_types!r}; give a list of texts"
        raise InvalidReaction(message)
    if not 1 <= len(event_types) <= _MAX_EVENT_TYPES:
        message = f"event_types must have from 1 to {_MAX_EVENT_TYPES} entries"
        raise InvalidReaction(message)
    return tuple(validate_pattern(pattern) for pattern in event_types)


def _check_condition(condition: str | None) -> str | None:
    if condition is not None:
        compile_condition(check_text("condition", condition, max_length=10_000))
    return condition


def _check_reason(state: ReactionState, reason: str | None) -> str | None:
    if state is ReactionState.ENABLED or reason is None:
        return None
    return check_text("state_reason", reason, max_length=1_000)


def _not_found(reaction_id: UUID, tenant_id: str) -> NotFound:
    return NotFound(f"there is no reaction {reaction_id} in tenant {tenant_id!r}")
