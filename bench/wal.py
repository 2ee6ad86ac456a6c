"""WAL written for a delivery, in addition to that of its log row alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bench.databases import (
    PAYLOAD,
    REACTIONS,
    checkpoint,
    enqueue,
    fresh_database,
    opened,
    server,
    until,
)
from bench.orders import order
from bench.receivers import receiver
from bench.throughput import drain
from bench.wal_records import kinds_of_records
from delivery import TriggerRequest
from delivery.store.driver.connection import connect

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from delivery.store.driver.connection import Connection

__all__ = ["add_arguments", "measure"]

_TARGET: Final = 900
_AT_ONCE: Final = 5_000

# The rows of one transaction are one batch, so the rows can be written again in the same batches.
_COPY: Final = (
    "CREATE UNLOGGED TABLE log_rows AS SELECT dense_rank() OVER (ORDER BY xmin::text::bigint)"
    " AS batch, row_number() OVER (ORDER BY tableoid, ctid) AS place, *"
    " FROM delivery.delivery_logs"
)
_ALONE: Final = """
INSERT INTO delivery.delivery_logs ({columns})
SELECT {columns} FROM log_rows WHERE batch = $1 ORDER BY place
"""
_SETTINGS: Final = """
SELECT 'full_page_writes ' || current_setting('full_page_writes')
    || ', page checksums ' || current_setting('data_checksums')
    || ', wal_compression ' || current_setting('wal_compression')
"""
_COLUMNS: Final = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = 'delivery.delivery_logs'::regclass AND attnum > 0 AND NOT attisdropped
"""
_ALONE_ON_IT: Final = """
SELECT NOT EXISTS (
    SELECT FROM pg_stat_activity WHERE datname = current_database()
    AND backend_type = 'client backend' AND pid <> pg_backend_pid()
)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command-line options of this bench."""
    parser.add_argument("--jobs", type=int, default=20_000, help="deliveries (20000)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Deliver orders that differ, then the payload of the other benches: one repeated character.

    A server that compresses page images reduces the latter to almost nothing, so only the former
    show the cost of a delivery. WAL is counted for the whole server, so no other client may write
    meanwhile.
    """
    jobs = options.jobs
    with receiver() as (receiver_url, kind):
        async with server(options.database_url) as server_url:
            repeated = await _run(server_url, receiver_url, jobs, lambda _: PAYLOAD)
            figures = await _run(server_url, receiver_url, jobs, order)
    rest = figures["beyond_the_log_row_bytes"]
    return {
        **figures,
        "beyond_with_repeated_payload_bytes": repeated["beyond_the_log_row_bytes"],
        "target": f"beyond the log row <= {_TARGET} B",
        "reached": rest <= _TARGET,
        "jobs": jobs,
        "receiver": kind,
    }


async def _run(
    server_url: str, receiver_url: str, jobs: int, payload: Callable[[int], bytes]
) -> dict[str, Any]:
    """Deliver, then write the same log rows again, alone and in the same batches."""
    async with fresh_database(server_url) as url:
        await enqueue(url, receiver_url, 0)
        async with opened(url) as engine:
            for start in range(0, jobs, _AT_ONCE):
                await engine.trigger_many(
                    (
                        TriggerRequest(f"bench.{number % REACTIONS}", payload(number))
                        for number in range(start, min(start + _AT_ONCE, jobs))
                    ),
                    tenant_id="bench",
                )
        watch = await connect(url, 10.0)
        try:
            images_before = await _page_images(watch)
            began = await watch.fetchval("SELECT pg_current_wal_insert_lsn()::text")
            total = (await drain("bench.engine", url, jobs))["wal_bytes"]
            images = await _page_images(watch) - images_before
            records = await kinds_of_records(watch, began, jobs)
            alone, images_alone, batches = await _log_rows_alone(watch, url, jobs)
            settings = await watch.fetchval(_SETTINGS)
        finally:
            await watch.close()
    return {
        "wal_bytes_per_job": round(total),
        "log_row_alone_bytes": round(alone),
        "beyond_the_log_row_bytes": round(total - alone),
        "page_images_per_1000_jobs": round(images / jobs * 1000, 1),
        "page_images_of_log_rows_per_1000": round(images_alone / jobs * 1000, 1),
        **records,
        "jobs_per_batch": round(jobs / batches),
        "page_images": settings,
    }


async def _log_rows_alone(watch: Connection, url: str, jobs: int) -> tuple[float, int, int]:
    """Write the same rows to the empty table; return WAL bytes a row, page images and batches."""
    columns = await watch.fetchval(_COLUMNS)
    await watch.execute(_COPY)
    await watch.execute("CREATE INDEX ON log_rows (batch)")
    batches: int = await watch.fetchval("SELECT max(batch) FROM log_rows")
    await watch.execute("TRUNCATE delivery.delivery_logs")
    await checkpoint(url)
    images_before = await _page_images(watch)
    before = await watch.fetchval("SELECT pg_current_wal_insert_lsn()")
    statement = await watch.prepare(_ALONE.format(columns=columns))
    for batch in range(1, batches + 1):
        await statement.fetch(batch)
    written = await watch.fetchval(
        "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1)", before
    )
    return float(written) / jobs, await _page_images(watch) - images_before, batches


async def _page_images(watch: Connection) -> int:
    """Return the number of whole pages that the server has logged so far."""

    async def alone() -> bool:
        return bool(await watch.fetchval(_ALONE_ON_IT))

    # The statistics include a session's counts for certain only after its end.
    await until(alone, timeout=10)
    await watch.execute("SELECT pg_stat_force_next_flush()")
    count: int = await watch.fetchval("SELECT wal_fpi FROM pg_stat_wal")
    return count
