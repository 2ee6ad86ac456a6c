"""WAL written for a delivery, beyond what its log row takes by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bench.databases import checkpoint, enqueue, fresh_database, server
from bench.receivers import receiver
from bench.throughput import drain
from delivery.store.connection import connect

if TYPE_CHECKING:
    import argparse

    from delivery.store.connection import Connection

__all__ = ["add_arguments", "measure"]

_TARGET: Final = 900
_BATCH: Final = 200
"""About as many results as the engine writes in one statement."""

_COPY: Final = (
    "CREATE UNLOGGED TABLE log_rows AS SELECT row_number() OVER (ORDER BY id) AS number, *"
    " FROM delivery.delivery_logs"
)
_ALONE: Final = """
INSERT INTO delivery.delivery_logs SELECT {columns} FROM log_rows WHERE number > $1 AND number <= $2
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said of it on the command line."""
    parser.add_argument("--jobs", type=int, default=20_000, help="deliveries (20000)")


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Deliver, then write the very same log rows again, alone and in batches of the same size."""
    with receiver() as (receiver_url, kind):
        async with server(options.database_url) as server_url, fresh_database(server_url) as url:
            await enqueue(url, receiver_url, options.jobs)
            total = (await drain("bench.engine", url, options.jobs))["wal_bytes"]
            connection = await connect(url, 10.0)
            try:
                alone = await _log_rows_alone(connection, url, options.jobs)
                images = await connection.fetchval(
                    "SELECT current_setting('full_page_writes') || ', page checksums '"
                    " || current_setting('data_checksums')"
                )
            finally:
                await connection.close()
    rest = total - alone
    return {
        "wal_bytes_per_job": round(total),
        "log_row_alone_bytes": round(alone),
        "beyond_the_log_row_bytes": round(rest),
        "full_page_writes": images,
        "target": f"beyond the log row <= {_TARGET} B",
        "reached": rest <= _TARGET,
        "jobs": options.jobs,
        "receiver": kind,
    }


async def _log_rows_alone(connection: Connection, url: str, jobs: int) -> float:
    """WAL bytes a row, of the same rows in the same table with the same indexes, empty before."""
    columns = await connection.fetchval(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
        " WHERE attrelid = 'delivery.delivery_logs'::regclass AND attnum > 0 AND NOT attisdropped"
    )
    await connection.execute(_COPY)
    await connection.execute("CREATE INDEX ON log_rows (number)")
    await connection.execute("TRUNCATE delivery.delivery_logs")
    await checkpoint(url)
    before = await connection.fetchval("SELECT pg_current_wal_insert_lsn()")
    statement = await connection.prepare(_ALONE.format(columns=columns))
    for start in range(0, jobs, _BATCH):
        await statement.fetch(start, start + _BATCH)
    written = await connection.fetchval(
        "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1)", before
    )
    return float(written) / jobs
