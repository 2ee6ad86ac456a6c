"""Keeps how reactions stand: gathers what calls said, judges, writes, and tells of what changed.

Only reactions whose calls fail, or failed lately, are looked at. What was gathered is judged a few
times a second, for all workers together: each judgement locks the reaction and begins from what the
last one, whoever made it, has written.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from itertools import islice
from typing import TYPE_CHECKING, Final

from delivery.engine.events import LanePaused, LanesLimited
from delivery.models import OwnType, ReactionState
from delivery.observe.repeated_logs import RepeatedLogs
from delivery.policy.endpoint_health import (
    Answer,
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
"""Seconds for which answers are gathered: many calls of a reaction may end in them."""

_UNTIL_WRITTEN: Final = 1.0
"""Seconds in which what was gathered is surely written."""

_AT_ONCE: Final = 200
"""Reactions judged in one transaction."""

_NOTHING: Final = Observed()

_KEPT: Final = 100_000
_MAX_BACKOFF: Final = 5.0


def rules_of(settings: HealthSettings) -> HealthRules:
    """The settings as the pure functions take them."""
    names = (field.name for field in dataclasses.fields(HealthRules))
    return HealthRules(**{name: getattr(settings, name) for name in names})


class EndpointHealthTracker:
    """Judges the reactions whose calls this process makes.

    Args:
        pool: Where to read and write.
        clock: Tells when calls end and pauses are over.
        rules: What to judge by.
        telling: Announces changes.
        events: Receives lanes that must rest or that got limits.
    """

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        rules: HealthRules,
        telling: Announcements,
        events: EventBus,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._rules = rules
        self._telling = telling
        self._events = events
        self.observed: dict[UUID, Observed] = {}
        """What was gathered, by reaction; those that are not here need not be told of successes."""
        self._open: set[UUID] = set()
        """Reactions with an open circuit when they were last judged here."""
        self._work = asyncio.Event()
        self._failures = RepeatedLogs(logger)

    def note(
        self,
        reaction_id: UUID,
        version: int,
        answer: Answer,
        lasted: float,
        retry_after: Callable[[], float | None],
        *,
        early: bool,
    ) -> None:
        """Take the outcome of a call and its duration in seconds; `early`: see `is_early`.

        A success is taken only where there is something to forget.
        """
        before = self.observed.get(reaction_id)
        if before is None:
            if answer is Answer.WORKS or len(self.observed) >= _KEPT:
                return
            before = Observed()
        now = self._clock.now()
        after = self.observed[reaction_id] = observe(
            before, version, answer, now - lasted, now, retry_after, early=early
        )
        if reaction_id in self._open and answer in {Answer.FAILED, Answer.OVERLOADED}:
            # A probe has failed; without this others would be made until that is written.
            seconds = min(self._rules.probe_after, _UNTIL_WRITTEN)
            self._events.emit(LanePaused(reaction_id, seconds))
        if after.retry_after is not None and after.retry_after != before.retry_after:
            seconds = min(after.retry_after - now, _UNTIL_WRITTEN)
            self._events.emit(LanePaused(reaction_id, seconds))
        self._work.set()

    def heal(self, reaction_ids: Iterable[UUID]) -> None:
        """Note that reactions which are recorded as failing have had a job settled."""
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
            gathered = dict(islice(self.observed.items(), _AT_ONCE))
            # Kept while they are judged: until that is written, nothing else than their being here
            # says that successes count.
            for reaction_id in gathered:
                # At the end, so that others come first next time.
                del self.observed[reaction_id]
                self.observed[reaction_id] = _NOTHING
            self._work.clear()
            try:
                await self._judge_all(gathered)
            except CONNECTION_ERRORS as error:
                self._take_back(gathered)
                backoff = min(backoff * 2, _MAX_BACKOFF)
                logger.warning(
                    "the health of reactions could not be written (%s); trying again in %.1f s",
                    error,
                    backoff,
                )
            else:
                backoff = _GATHERING
                self._let_go(gathered)
            if self.observed:
                self._work.set()

    async def _judge_all(self, gathered: dict[UUID, Observed]) -> None:
        """Judge all of them, and each alone if one of them makes that fail.

        Those that are judged alone are taken out of `gathered` one by one, so that what an error
        leaves in it is not written.
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
                    self._let_go([reaction_id])
                return
            (reaction_id,) = gathered
            self._failures.error(
                f"the health of reaction {reaction_id} cannot be judged or written: {error};"
                " its calls go on as if nothing had been observed",
                error,
            )

    def _let_go(self, reaction_ids: Iterable[UUID]) -> None:
        """Forget reactions of which nothing has been observed since they were judged."""
        for reaction_id in reaction_ids:
            if self.observed[reaction_id] is _NOTHING:
                del self.observed[reaction_id]

    def _take_back(self, gathered: dict[UUID, Observed]) -> None:
        """Keep what could not be written; what came in since is the newer."""
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
            for reaction_id, stands in locked.items():
                if stands.state is ReactionState.ENABLED and stands.is_about_it:
                    change = judge(stands.health, gathered[reaction_id], self._rules, now)
                    if change.health != stands.health:
                        changes[reaction_id] = change
            if not changes:
                return
            await endpoint_health.write(
                connection, {reaction_id: change.health for reaction_id, change in changes.items()}
            )
            disabled = {
                reaction_id: _reason(change.health, now)
                for reaction_id, change in changes.items()
                if change.told is OwnType.REACTION_DISABLED
            }
            if disabled:
                await self._telling.disable_within(connection, disabled)
            for reaction_id, change in changes.items():
                if change.told is not None and reaction_id not in disabled:
                    await self._telling.announce_within(
                        connection, change.told, reaction_id, locked[reaction_id], change.health
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


def _reason(stands: Health, now: float) -> str:
    days = (now - (stands.failing_since or now)) / 86_400
    return f"{stands.failures} calls in a row have failed, over {days:.1f} days"


def _log(reaction_id: UUID, stands: LockedHealth, change: Change, now: float) -> None:
    name = f"reaction {reaction_id} ({stands.name})"
    if change.told is OwnType.REACTION_FAILING:
        logger.warning(
            "%s: %d calls in a row have failed; tried again in %.0f s",
            name,
            change.health.failures,
            change.health.paused_until - now,
        )
    elif change.told is OwnType.REACTION_RECOVERED:
        logger.info("%s: the endpoint works again", name)
