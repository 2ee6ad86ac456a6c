"""Checks of the requirements: certificates, database, schema, clock and notifications.

The command `delivery doctor` adds a delivery to a local receiver.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from delivery.clock import Clock
from delivery.engine.watch import partitions_alarm
from delivery.errors import DeliveryError, SchemaMismatch, StatementTimeout, WrongEncoding
from delivery.http.tls.contexts import has_authorities
from delivery.message.storage.encryption import Cipher
from delivery.service.database import bring_up_to_date, name_database, reach
from delivery.store import encrypted_rows
from delivery.store.migrate import OLDEST_SERVER, applied, check_encoding, check_schema
from delivery.store.notifications import listening, send
from delivery.store.partitions import days_left
from delivery.store.workers import synchronise
from delivery.wording import counted, is_or_are, plain_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from delivery.settings import Settings
    from delivery.store.driver.connection import Connection

__all__ = ["CHECKS", "CheckStatus", "Finding", "examine"]

CHECKS: Final = (
    "certificates",
    "database",
    "schema",
    "partitions",
    "clock",
    "notifications",
    "secrets",
    "delivery",
)
_STATEMENT_TIMEOUT: Final = 5.0
_CHECK_TIMEOUT: Final = 15.0
"""Timeout of one check, in seconds."""
_DELIVERY_TIMEOUT: Final = 60.0
_NOTIFICATION_TIMEOUT: Final = 3.0
_NOTICEABLE_SKEW: Final = 1.0
_TOLERATED_SKEW: Final = 60.0
"""Maximum clock difference in seconds. Receivers reject signatures that are five minutes off."""


class CheckStatus(StrEnum):
    """Result of a check."""

    OK = "ok"
    WARNING = "warning"
    """Works, but needs attention."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Not run, because another check failed or it was not requested."""

    @property
    def mark(self) -> str:
        """Symbol for display, one character."""
        return {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "-"}[self.value]


@dataclass(frozen=True, slots=True)
class Finding:
    """Finding of one check."""

    check: str
    verdict: CheckStatus
    detail: str
    advice: str | None = None
    """Advice; empty if there is nothing to do."""


async def examine(
    settings: Settings, deliver: Callable[[str, Settings], Awaitable[Finding]] | None
) -> AsyncIterator[Finding]:
    """Run all checks and yield one finding for each of `CHECKS`, in order.

    Args:
        settings: Settings to check. An embedded database is started and migrated.
        deliver: Makes a test delivery on the database of a URL; None to skip this check.
    """
    done = 0
    try:
        yield _check_certificates()
        done = 1
        async with reach(settings, statement_timeout=_STATEMENT_TIMEOUT) as reached:
            url, connection, known = reached
            if settings.database.url is None:
                await bring_up_to_date(connection, settings.partitions.days_ahead)
            async for finding in _examine_database(url, connection, settings, known):
                yield finding
                done += 1
                if finding.check == "schema":
                    schema = finding
            # A pooler may provide few sessions.
            await connection.close()
            if deliver is None:
                yield Finding("delivery", CheckStatus.SKIPPED, "not requested")
            elif schema.verdict is CheckStatus.FAILED:
                yield Finding("delivery", CheckStatus.SKIPPED, "requires the schema")
            else:
                yield await _in_time(deliver(url, known), _DELIVERY_TIMEOUT)
            done += 1
    except DeliveryError as error:
        yield Finding(CHECKS[done], CheckStatus.FAILED, *_problem_and_advice(error))
        for name in CHECKS[done + 1 :]:
            yield Finding(name, CheckStatus.SKIPPED, f"requires the {CHECKS[done]}")


async def _examine_database(
    url: str, connection: Connection, settings: Settings, known: Settings
) -> AsyncIterator[Finding]:
    """Run the checks that need only a connection, each with a time limit."""
    yield await _in_time(_check_database(settings, connection))
    schema = await _in_time(_check_schema(connection))
    yield schema
    yield await _in_time(_check_partitions(connection, settings, schema))
    yield await _in_time(_check_clock(connection))
    yield await _in_time(_check_notifications(url, connection, settings))
    if schema.verdict is CheckStatus.FAILED:
        yield Finding("secrets", CheckStatus.SKIPPED, "requires the schema")
    else:
        yield await _in_time(_check_secrets(connection, known))


async def _in_time(check: Awaitable[Finding], seconds: float = _CHECK_TIMEOUT) -> Finding:
    """Await a check.

    Raises:
        StatementTimeout: If it takes too long.
    """
    try:
        async with asyncio.timeout(seconds):
            return await check
    except TimeoutError as error:
        message = (
            f"the check did not finish within {seconds:g} s; look for long statements, locks in the"
            " database, and for the number of sessions of a pooler before it"
        )
        raise StatementTimeout(message) from error


def _check_certificates() -> Finding:
    """Check that the certificates of https endpoints can be verified."""
    name = "certificates"
    if has_authorities():
        return Finding(name, CheckStatus.OK, "CA certificates are installed")
    return Finding(
        name,
        CheckStatus.FAILED,
        "this machine has no CA certificates, so every https call fails",
        "install them (Debian, Ubuntu: apt-get install ca-certificates), or name a file in"
        " SSL_CERT_FILE",
    )


def _problem_and_advice(error: DeliveryError) -> tuple[str, str | None]:
    """Split an error message into problem and advice, which a semicolon separates."""
    problem, _, advice = str(error).rpartition("; ")
    return (problem, advice) if problem else (advice, None)


async def _check_database(settings: Settings, connection: Connection) -> Finding:
    """Check the version of the server."""
    version = connection.get_server_version()
    # The driver uses the version scheme of PostgreSQL 9: it reports 15.18 as 15, 0, 18.
    name = f"PostgreSQL {version.major}.{version.micro}, {name_database(settings)}"
    if version.major < OLDEST_SERVER:
        advice = f"upgrade the server to PostgreSQL {OLDEST_SERVER} or later"
        return Finding("database", CheckStatus.FAILED, name, advice)
    try:
        await check_encoding(connection)
    except WrongEncoding as error:
        return Finding("database", CheckStatus.FAILED, *_problem_and_advice(error))
    return Finding("database", CheckStatus.OK, name)


async def _check_schema(connection: Connection) -> Finding:
    """Check the version of the schema."""
    try:
        await check_schema(connection)
    except SchemaMismatch as error:
        return Finding("schema", CheckStatus.FAILED, *_problem_and_advice(error))
    return Finding("schema", CheckStatus.OK, f"version {len(await applied(connection))}")


async def _check_partitions(connection: Connection, settings: Settings, schema: Finding) -> Finding:
    """Check that partitions exist for the next days."""
    name = "partitions"
    if schema.verdict is CheckStatus.FAILED:
        return Finding(name, CheckStatus.SKIPPED, "requires the schema")
    left = await days_left(connection)
    alarm = partitions_alarm(left, settings.partitions.days_ahead)
    if alarm is not None:
        verdict = CheckStatus.FAILED if left < 0 else CheckStatus.WARNING
        return Finding(name, verdict, *alarm.split("; ", 1))
    return Finding(name, CheckStatus.OK, f"partitions exist until {left} days from now")


async def _check_clock(connection: Connection) -> Finding:
    """Compare the local clock with the clock of the database, which the engine uses."""
    clock = Clock()
    started = time.perf_counter()
    await synchronise(connection, clock)
    trip = time.perf_counter() - started
    ahead = clock.ahead_of_machine()
    skew = abs(ahead)
    # The error of an offset measured over a network is up to half the round-trip time.
    if skew <= _NOTICEABLE_SKEW + trip / 2:
        return Finding(
            "clock", CheckStatus.OK, f"{skew * 1000:.0f} ms difference to the clock of the database"
        )
    side = "behind" if ahead > 0 else "ahead of"
    detail = f"{skew:.1f} s {side} the clock of the database, which deliveries use"
    if skew <= _TOLERATED_SKEW:
        return Finding("clock", CheckStatus.WARNING, detail, "synchronize both clocks by NTP")
    advice = "synchronize both clocks by NTP; receivers reject signatures that are minutes off"
    return Finding("clock", CheckStatus.FAILED, detail, advice)


async def _check_notifications(url: str, connection: Connection, settings: Settings) -> Finding:
    """Check that a notification reaches another connection."""
    name = "notifications"
    if not settings.worker.notifications:
        return Finding(
            name, CheckStatus.SKIPPED, "off (worker.notifications); polling is sufficient"
        )
    sent = f"doctor {secrets.token_hex(8)}"
    heard = asyncio.Event()

    def listener(text: str) -> None:
        if text == sent:
            heard.set()

    started = time.perf_counter()
    try:
        timeout = settings.database.connect_timeout
        async with (
            listening(url, listener, timeout=timeout),
            asyncio.timeout(_NOTIFICATION_TIMEOUT),
        ):
            await send(connection, sent, timeout=_NOTIFICATION_TIMEOUT)
            await heard.wait()
    except TimeoutError:
        return Finding(
            name,
            CheckStatus.FAILED,
            f"a notification did not arrive within {plain_number(_NOTIFICATION_TIMEOUT)} s",
            "with PgBouncer in transaction mode, set worker.notifications=false",
        )
    except DeliveryError as error:
        return Finding(name, CheckStatus.FAILED, *_problem_and_advice(error))
    return Finding(
        name, CheckStatus.OK, f"arrive in {(time.perf_counter() - started) * 1000:.0f} ms"
    )


async def _check_secrets(connection: Connection, settings: Settings) -> Finding:
    """Check that stored secrets are encrypted, and that the configured keys decrypt them."""
    name = "secrets"
    held = await encrypted_rows.count_keys(connection)
    labels = Cipher(settings.secrets.texts()).labels
    foreign = sorted(set(held) - {"", *labels})
    if foreign:
        return Finding(
            name,
            CheckStatus.FAILED,
            f"{_rows(sum(held[label] for label in foreign))} encrypted with keys that are not in"
            f" secrets.keys ({', '.join(foreign)}): their reactions cannot be called",
            "add the keys to secrets.keys (DELIVERY_SECRETS_KEYS)",
        )
    unencrypted = held.get("", 0)
    if not labels:
        return Finding(
            name,
            CheckStatus.WARNING,
            f"there is no key: {_rows(unencrypted)} readable in any copy of the database",
            "make one (`delivery secrets generate-key`), give it to every process as"
            " secrets.keys, and run `delivery secrets reencrypt`",
        )
    others = sum(count for label, count in held.items() if label != labels[0])
    if others:
        detail = (
            f"{_rows(unencrypted)} not encrypted, {_rows(others - unencrypted)} encrypted with"
            " a key that is not the first"
        )
        return Finding(name, CheckStatus.WARNING, detail, "run `delivery secrets reencrypt`")
    return Finding(
        name, CheckStatus.OK, f"{_rows(sum(held.values()))} encrypted with key {labels[0]}"
    )


def _rows(count: int) -> str:
    return f"{counted(count, 'row')} {is_or_are(count)}"
