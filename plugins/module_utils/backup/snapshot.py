# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count, describe and dump a database in one snapshot, so that the counts are those of the archive whatever is written meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.archive.cron_jobs import CRON_JOBS_NAME, read_cron_jobs
from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupEncryption, NotHeld
from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import (
    ARCHIVE_NAMES,
    CATALOG_NAME,
    DumpTools,
    dump_database,
)
from ansible_collections.pgops.supabase.plugins.module_utils.backup.dump_watch import DumpWatch, table_sizes
from ansible_collections.pgops.supabase.plugins.module_utils.backup.not_held import read_not_held
from ansible_collections.pgops.supabase.plugins.module_utils.backup.request import BackupRequest
from ansible_collections.pgops.supabase.plugins.module_utils.backup.source import Source
from ansible_collections.pgops.supabase.plugins.module_utils.base.background import in_background
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError, ToolError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.base.progress import Progress
from ansible_collections.pgops.supabase.plugins.module_utils.catalog import model as catalog
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowCounts
from ansible_collections.pgops.supabase.plugins.module_utils.counts.parallel import CountingSessions, count_in_snapshot
from ansible_collections.pgops.supabase.plugins.module_utils.counts.tables import user_tables
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    conninfo_of,
    execute,
    fetch_value,
    libpq_environment,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import Table

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

_LOCK_NOT_AVAILABLE = "55P03"


@contextmanager
def reading(options: ConnectionOptions, settings: SessionSettings) -> Iterator[PgConnection]:
    """A session whose own faults (a lost connection, a table that is dropped meanwhile) are told as the backup's."""
    import psycopg2

    try:
        with session(options, settings) as connection:
            yield connection
    except psycopg2.Error as error:
        next_step = "Mend what PostgreSQL says and run again."
        if error.pgcode == _LOCK_NOT_AVAILABLE:
            next_step = (
                "Another session changes a table's definition. Let it finish, or find it: select pid, query from "
                "pg_stat_activity where pid in (select unnest(pg_blocking_pids(pid)) from pg_stat_activity);"
            )
        raise BackupError(
            f"The database could not be read: {str(error).strip()}",
            where=options.place,
            next_step=next_step,
            details={"sqlstate": error.pgcode},
        ) from error


@dataclass(frozen=True, kw_only=True)
class PreparedBackup:
    """A backup whose preconditions hold: what is asked, what the database has, and what the archive is made with.

    :param compression: what pg_dump's --compress takes.
    """

    options: ConnectionOptions
    request: BackupRequest
    source: Source
    tools: DumpTools
    compression: str
    encryption: BackupEncryption | None
    progress: Progress

    @property
    def settings(self) -> SessionSettings:
        """Of the sessions that read the rows, which may take as long as it takes."""
        return SessionSettings(
            lock_timeout_ms=self.request.lock_timeout_ms, statement_timeout_ms=0, row_security=False, read_only=True
        )


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What was read in the dump's own snapshot."""

    counts: RowCounts
    catalog_fingerprint: str
    left_out_schemas: list[str]
    lsn: str
    name: str
    not_held: list[NotHeld]
    large_objects: int


def dump_in_snapshot(prepared: PreparedBackup, directory: Path) -> Snapshot:
    """Dump and count in one snapshot. It ends with this function: an open one holds back CREATE INDEX CONCURRENTLY."""
    source = prepared.source
    with reading(prepared.options, prepared.settings) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        # The session idles while pg_dump works, and its transaction is what keeps the snapshot.
        execute(connection, "set local idle_in_transaction_session_timeout = 0")
        exported = str(fetch_value(connection, "select pg_catalog.pg_export_snapshot()"))
        name = str(fetch_value(connection, "select pg_catalog.pg_current_snapshot()::text"))
        lsn = fetch_value(
            connection,
            """
            select case when pg_catalog.pg_is_in_recovery() then pg_catalog.pg_last_wal_replay_lsn()
                        else pg_catalog.pg_current_wal_lsn() end::text
            """,
        )
        taken_at = utc_now()
        tables = [t for t in user_tables(connection, source.schemas) if t not in source.excluded_tables]
        sizes = table_sizes(connection, tables)
        with prepared.progress.phase("catalog"):
            left_out = [s for s in catalog.user_schemas(connection) if s not in source.schemas]
            definitions = catalog.read_catalog(connection, source.own_schemas)
            write_json(directory / CATALOG_NAME, definitions)
            not_held = _beside_the_archive(connection, directory)
            large_objects = int(fetch_value(connection, "select count(*) from pg_catalog.pg_largeobject_metadata"))
        # The server counts while pg_dump compresses; from here on the connection is the counting's.
        sessions = CountingSessions()
        counting = in_background(lambda: _count(prepared, connection, tables, sessions, taken_at))
        try:
            _dump(prepared, directory, exported, sizes, counting)
        except BaseException as error:
            # The session's transaction keeps the snapshot: when the counting fails the dump fails as well, for no reason of its own.
            failure = counting.exception() if counting.done() else None
            if failure is not None and isinstance(error, ToolError):
                raise failure from error
            # Nobody needs the counts any more, and neither a session nor the process ends while one counts.
            sessions.stop()
            raise
        counts = counting.result()
    return Snapshot(
        counts=counts,
        catalog_fingerprint=catalog.fingerprint(definitions),
        left_out_schemas=left_out,
        lsn=str(lsn),
        name=name,
        not_held=not_held,
        large_objects=large_objects,
    )


def _beside_the_archive(connection: PgConnection, directory: Path) -> list[NotHeld]:
    """Keep as SQL what pg_dump leaves out and SQL can bring back, and tell what is not held at all."""
    jobs, held = read_cron_jobs(connection)
    if jobs:
        (directory / CRON_JOBS_NAME).write_text(jobs, encoding="utf-8")
    return read_not_held(connection, cron_jobs_held=held)


def _count(
    prepared: PreparedBackup,
    connection: PgConnection,
    tables: Sequence[Table],
    sessions: CountingSessions,
    taken_at: str,
) -> RowCounts:
    started, progress = time.monotonic(), prepared.progress
    with progress.phase("count", tables_total=len(tables)):
        counts = count_in_snapshot(
            prepared.options,
            prepared.settings,
            connection,
            tables,
            workers=prepared.request.jobs,
            counted=lambda done: progress.at("count", tables_done=done, tables_total=len(tables)),
            sessions=sessions,
        )
    return RowCounts(
        taken_at=taken_at,
        server_version=prepared.source.server_version,
        tables=counts,
        total=sum(table.rows for table in counts),
        duration_seconds=round(time.monotonic() - started, 3),
    )


def _dump(
    prepared: PreparedBackup,
    directory: Path,
    snapshot: str,
    sizes: Mapping[Table, int],
    counting: Future[RowCounts],
) -> None:
    request, source, progress = prepared.request, prepared.source, prepared.progress

    def follow(**figures: Any) -> None:
        if counting.done():
            # A count that failed ends the dump at once.
            counting.result()
        progress.at("dump", **figures)

    with progress.phase("dump", tables_total=len(sizes), bytes_total=sum(sizes.values())):
        watch = DumpWatch(
            sizes,
            directory / ARCHIVE_NAMES[request.format],
            parallel=request.format == "directory" and request.jobs > 1,
            report=follow,
        )
        dump_database(
            prepared.tools,
            directory,
            environment=libpq_environment(prepared.options, prepared.settings),
            conninfo=conninfo_of(prepared.options),
            snapshot=snapshot,
            excluded_schemas=source.other_schemas,
            excluded_tables=source.excluded_tables,
            archive_format=request.format,
            jobs=request.jobs,
            compression=prepared.compression,
            lock_timeout_ms=request.lock_timeout_ms,
            watcher=watch,
        )
        progress.note("dump", "dumped", **watch.finished())
