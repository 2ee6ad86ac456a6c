"""Tracking of endpoint health: collect results, update the circuit breaker, publish changes.

Only reactions whose calls fail, or failed recently, are tracked. Their observations are judged a
few times a second, for all workers together: each judgement locks the reaction and begins with the
health that the last judgement of any worker has written.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from itertools import islice
from typing import TYPE_CHECKING, Final

from delivery.engine.events import LanePaused, LanesLimited
from delivery.models import EngineEventType, ReactionState
from delivery.observe.repeated_logs import RepeatedLogs
from delivery.policy.endpoint_health import (
    CallResult,
    Change,
    Health,
    HealthRules,
    Observed,
    judge,
    observe,
)
from delivery.store import endpoint_health
from delivery.store.driver.failures import CONNECTION_ERRORS, is_passing
from delivery.store.driver.transaction import transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from delivery.clock import Clock
    from delivery.engine.announcements import Announcements
    from delivery.engine.events import EventBus
    from delivery.settings import HealthSettings
    from delivery.store.driver.connection import Pool
    from delivery.store.endpoint_health import LockedHealth

__all__ = ["EndpointHealthTracker", "rules_of"]

logger = logging.getLogger(__name__)

_GATHERING: Final = 0.1
"""Seconds for which observations are collected: many calls of a reaction may end in them."""

_UNTIL_WRITTEN: Final = 1.0
"""Seconds until observations are certainly written."""

_BATCH: Final = 200
"""Reactions judged in one transaction."""

_NOTHING: Final = Observed()

_KEPT: Final = 100_000
_MAX_BACKOFF: Final = 5.0


def rules_of(settings: HealthSettings) -> HealthRules:
    """Return the settings in the form of the pure functions."""
    names = (field.name for field in dataclasses.fields(HealthRules))
    return HealthRules(**{name: getattr(settings, name) for name in names})


class EndpointHealthTracker:
    """Role that tracks the endpoints of the reactions whose calls this worker makes.

    Args:
        pool: Database.
        clock: Dates the ends of calls and pauses.
        rules: Rules of the judgement.
        announcements: Announces changes.
        events: Receives lanes that must rest or that got limits.
    """

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        rules: HealthRules,
        announcements: Announcements,
        events: EventBus,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._rules = rules
        self._announcements = announcements
        self._events = events
        self.observed: dict[UUID, Observed] = {}
        """Observations by reaction. Successes of other reactions need not be reported."""
        self._open: set[UUID] = set()
        """Reactions whose circuit was open at the last judgement here."""
        self._work = asyncio.Event()
        self._failures = RepeatedLogs(logger)

    def note(
        self,
        reaction_id: UUID,
        version: int,
        call_result: CallResult,
        lasted: float,
        retry_after: Callable[[], float | None],
        *,
        early: bool,
    ) -> None:
        """Add the outcome of a call and its duration in seconds; for `early` see `is_early`.

        A success is added only if the reaction has other observations.
        """
        before = self.observed.get(reaction_id)
        if before is None:
            if call_result is CallResult.WORKS or len(self.observed) >= _KEPT:
                return
            before = Observed()
        now = self._clock.now()
        after = self.observed[reaction_id] = observe(
            before, version, call_result, now - lasted, now, retry_after, early=early
        )
        if reaction_id in self._open and call_result in {CallResult.FAILED, CallResult.OVERLOADED}:
            # A probe has failed. Without this pause, others would start until that is written.
            seconds = min(self._rules.probe_after, _UNTIL_WRITTEN)
            self._events.emit(LanePaused(reaction_id, seconds))
        if after.retry_after is not None and after.retry_after != before.retry_after:
            seconds = min(after.retry_after - now, _UNTIL_WRITTEN)
            self._events.emit(LanePaused(reaction_id, seconds))
        self._work.set()

    def heal(self, reaction_ids: Iterable[UUID]) -> None:
        """Note that reactions recorded as failing had a job settled."""
        for reaction_id in reaction_ids:
            observed = self.observed.get(reaction_id, Observed())
            self.observed[reaction_id] = dataclasses.replace(observed, worked=True)
            self._work.set()

    async def run(self) -> None:
        """Judge until cancelled."""
        backoff = _GATHERING
        while True:
            await self._work.wait()
            await asyncio.sleep(backoff)
            gathered = dict(islice(self.observed.items(), _BATCH))
            # They remain here until the judgement is written: only reactions that are here count
            # successes.
            for reaction_id in gathered:
                # At the end, so that others come first the next time.
                del self.observed[reaction_id]
                self.observed[reaction_id] = _NOTHING
            self._work.clear()
            try:
                await self._judge_all(gathered)
            except CONNECTION_ERRORS as error:
                self._restore(gathered)
                backoff = min(backoff * 2, _MAX_BACKOFF)
                logger.warning(
                    "cannot write the health of reactions (%s); retrying in %.1f s",
                    error,
                    backoff,
                )
            else:
                backoff = _GATHERING
                self._remove_quiet(gathered)
            if self.observed:
                self._work.set()

    async def _judge_all(self, gathered: dict[UUID, Observed]) -> None:
        """Judge all of these reactions; if one of them makes that fail, each one alone.

        Reactions that were judged alone are removed from `gathered`, so that after an error it
        contains the ones that were not written.
        """
        try:
            await self._judge(gathered)
        except Exception as error:
            if is_passing(error):
                raise
            if len(gathered) > 1:
                for reaction_id in list(gathered):
                    await self._judge_all({reaction_id: gathered[reaction_id]})
                    del gathered[reaction_id]
                    self._remove_quiet([reaction_id])
                return
            (reaction_id,) = gathered
            self._failures.error(
                f"the health of reaction {reaction_id} cannot be judged or written: {error};"
                " its calls continue without it",
                error,
            )

    def _remove_quiet(self, reaction_ids: Iterable[UUID]) -> None:
        """Remove reactions without observations since they were judged."""
        for reaction_id in reaction_ids:
            if self.observed[reaction_id] is _NOTHING:
                del self.observed[reaction_id]

    def _restore(self, gathered: dict[UUID, Observed]) -> None:
        """Restore observations that could not be written, below the newer ones."""
        for reaction_id, before in gathered.items():
            since = self.observed[reaction_id]
            if since is _NOTHING:
                self.observed[reaction_id] = before
            elif not since.worked and since.version == before.version:
                self.observed[reaction_id] = dataclasses.replace(
                    since,
                    worked=before.worked,
                    failures=before.failures + since.failures,
                    early=before.early + since.early,
                    failing_since=before.failing_since or since.failing_since,
                    last_began=max(before.last_began, since.last_began),
                    throttles=before.throttles + since.throttles,
                    retry_after=max(before.retry_after or 0.0, since.retry_after or 0.0) or None,
                )

    async def _judge(self, gathered: dict[UUID, Observed]) -> None:
        changes: dict[UUID, Change] = {}
        now = self._clock.now()
        async with transaction(self._pool) as connection:
            locked = await endpoint_health.lock(
                connection, {each: observed.version for each, observed in gathered.items()}
            )
            for reaction_id, each in locked.items():
                if each.state is ReactionState.ENABLED and each.is_about_it:
                    change = judge(each.health, gathered[reaction_id], self._rules, now)
                    if change.health != each.health:
                        changes[reaction_id] = change
            if not changes:
                return
            await endpoint_health.write(
                connection, {reaction_id: change.health for reaction_id, change in changes.items()}
            )
            disabled = {
                reaction_id: _reason(change.health, now)
                for reaction_id, change in changes.items()
                if change.event_type is EngineEventType.REACTION_DISABLED
            }
            if disabled:
                await self._announcements.disable_within(connection, disabled)
            for reaction_id, change in changes.items():
                if change.event_type is not None and reaction_id not in disabled:
                    await self._announcements.announce_within(
                        connection,
                        change.event_type,
                        reaction_id,
                        locked[reaction_id],
                        change.health,
                    )
        paused = [each for each, change in changes.items() if change.health.paused_until]
        self._events.emit(LanesLimited(paused))
        if len(self._open) >= _KEPT:
            self._open.clear()
        self._open.update(each for each, change in changes.items() if change.health.openings)
        self._open.difference_update(
            each for each, change in changes.items() if not change.health.openings
        )
        for reaction_id, change in changes.items():
            _log(reaction_id, locked[reaction_id], change, now)


def _reason(health: Health, now: float) -> str:
    days = (now - (health.failing_since or now)) / 86_400
    return f"{health.failures} calls in a row have failed, over {days:.1f} days"


def _log(reaction_id: UUID, locked: LockedHealth, change: Change, now: float) -> None:
    name = f"reaction {reaction_id} ({locked.name})"
    if change.event_type is EngineEventType.REACTION_FAILING:
        logger.warning(
            "%s: %d calls in a row have failed; retrying in %.0f s",
            name,
            change.health.failures,
            change.health.paused_until - now,
        )
    elif change.event_type is EngineEventType.REACTION_RECOVERED:
        logger.info("%s: the endpoint works again", name)
