# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact row counts of many tables by several sessions that share one snapshot."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import CountError
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import TableCount
from ansible_collections.pgops.supabase.plugins.module_utils.counts.tables import count_in_transaction
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    execute,
    fetch_all,
    fetch_value,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import Table

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


_LARGE_TABLE_PAGES = 1_000
_SMALL_TABLES_PER_STATEMENT = 200


class CountingSessions:
    """The sessions that count, and the word for all of them to stop."""

    def __init__(self) -> None:
        self._connections: list[PgConnection] = []
        self._stop = threading.Event()

    @property
    def stopped(self) -> bool:
        """Whether nothing more is to be counted."""
        return self._stop.is_set()

    def add(self, connection: PgConnection) -> None:
        """One more session counts."""
        self._connections.append(connection)

    def stop(self) -> None:
        """End what they count, from any thread. Their statements fail as cancelled (SQLSTATE 57014)."""
        import psycopg2

        if not self._stop.is_set():
            self._stop.set()
            for connection in self._connections:
                # One that is closed, or whose server is gone, counts no more.
                with suppress(psycopg2.Error):
                    connection.cancel()


def count_in_snapshot(
    options: ConnectionOptions,
    settings: SessionSettings,
    first: PgConnection,
    tables: Sequence[Table],
    *,
    workers: int,
    counted: Callable[[int], None] = lambda tables: None,
    sessions: CountingSessions | None = None,
) -> list[TableCount]:
    """Count tables in the snapshot of a session's open REPEATABLE READ transaction, in order of their names.

    :param first: that session; it counts too, and its transaction stays open.
    :param workers: sessions that count at the same time, at most.
    :param counted: told after each statement how many tables are counted by now; by whichever thread did it.
    :param sessions: with which another thread can end the counting.
    :raises CountError: when a table is missing or a count failed.
    """
    batches = _batches(first, tables)
    sessions = sessions or CountingSessions()
    with ExitStack() as opened:
        connections = [first]
        if min(workers, len(batches)) > 1:
            snapshot = str(fetch_value(first, "select pg_catalog.pg_export_snapshot()"))
            for _number in range(min(workers, len(batches)) - 1):
                connection = opened.enter_context(session(options, settings))
                execute(connection, "set transaction isolation level repeatable read, read only")
                execute(connection, "set transaction snapshot %s", [snapshot])
                connections.append(connection)
        counts = _count_in_parallel(connections, batches, counted, sessions)
    return sorted(counts, key=lambda count: (count.schema, count.table))


def _batches(connection: PgConnection, tables: Sequence[Table]) -> list[list[Table]]:
    """What one statement counts: a large table alone, the largest first, and small ones together."""
    rows = fetch_all(
        connection,
        """
        select n.nspname, c.relname, (
            select coalesce(sum(leaf.relpages), 0)
            from pg_catalog.pg_class as leaf
            where leaf.oid = c.oid
               or c.relkind = 'p' and leaf.oid in (select relid from pg_catalog.pg_partition_tree(c.oid)))::bigint
        from unnest(%s::text[], %s::text[]) as wanted(nspname, relname)
        join pg_catalog.pg_namespace as n on n.nspname = wanted.nspname
        join pg_catalog.pg_class as c on c.relnamespace = n.oid and c.relname = wanted.relname
        order by 3 desc, 1, 2
        """,
        [[schema for schema, _table in tables], [table for _schema, table in tables]],
    )
    sized = [((str(schema), str(table)), int(pages)) for schema, table, pages in rows]
    large = [[table] for table, pages in sized if pages >= _LARGE_TABLE_PAGES]
    small = [table for table, pages in sized if pages < _LARGE_TABLE_PAGES]
    size = _SMALL_TABLES_PER_STATEMENT
    return large + [small[start : start + size] for start in range(0, len(small), size)]


def _count_in_parallel(
    connections: Sequence[PgConnection],
    batches: Sequence[list[Table]],
    counted: Callable[[int], None],
    sessions: CountingSessions,
) -> list[TableCount]:
    """Each session takes the next batch until none is left; the first failure ends the others."""
    waiting: queue.SimpleQueue[list[Table]] = queue.SimpleQueue()
    for batch in batches:
        waiting.put(batch)
    for connection in connections:
        sessions.add(connection)
    lock, done = threading.Lock(), 0

    def work(connection: PgConnection) -> list[TableCount]:
        nonlocal done
        counts: list[TableCount] = []
        try:
            while not sessions.stopped:
                batch = waiting.get_nowait()
                counts.extend(count_in_transaction(connection, batch))
                with lock:
                    done += len(batch)
                    counted(done)
        except queue.Empty:
            return counts
        except BaseException:
            sessions.stop()
            raise
        return counts

    with ThreadPoolExecutor(max_workers=len(connections)) as pool:
        futures = [pool.submit(work, connection) for connection in connections]
    failures = [error for future in futures if (error := future.exception()) is not None]
    if failures:
        raise min(failures, key=_is_cancellation)
    if sessions.stopped:
        raise CountError("The counting was ended before it was done")
    return [count for future in futures for count in future.result()]


def _is_cancellation(error: BaseException) -> bool:
    """Whether this is a session ended because another one had failed, rather than the failure itself."""
    return isinstance(error, CountError) and error.details.get("sqlstate") == "57014"
