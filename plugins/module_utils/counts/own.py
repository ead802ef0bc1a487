# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an open transaction itself did to the number of rows of each table, whatever other sessions write meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import CountError
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import OWN_SCHEMA
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowChange
from ansible_collections.pgops.supabase.plugins.module_utils.counts.tables import without_row_security
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import Table

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

_QUEUE_PATIENCE_MS = 500
# The schemas of ledger and history, which we write beside what the files do.
_OUR_RECORDS = [OWN_SCHEMA, "supabase_migrations"]
# The functions under pg_stat_xact_user_tables; the view itself adds up every index of every table for columns that are not asked for.
_OWN_CHANGES = """
    with touched as (
        select oid as relid, relkind, relispartition,
            pg_catalog.pg_stat_get_xact_tuples_inserted(oid) - pg_catalog.pg_stat_get_xact_tuples_deleted(oid) as difference
        from pg_catalog.pg_class where relkind in ('r', 'm') offset 0
    ), attributed as (
        select relid, difference from touched where difference <> 0
        union all
        select ancestor.relid, difference
        from touched cross join lateral pg_catalog.pg_partition_ancestors(touched.relid) as ancestor(relid)
        where difference <> 0 and relispartition and ancestor.relid <> touched.relid
    ), changed as (
        select n.nspname, c.relname, sum(difference) as difference
        from attributed
        join pg_catalog.pg_class as c on c.oid = attributed.relid
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where c.relpersistence <> 't' and n.nspname <> all(%s)
            and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast'
        group by n.nspname, c.relname
    )
    select pg_catalog.current_setting('track_counts'), changed.* from (values (1)) as always left join changed on true
"""

OwnChanges = Mapping[Table, int]
"""A table to the rows that a transaction itself inserted less those it deleted."""


class _TableFile(NamedTuple):
    table: Table
    file: int


@dataclass(frozen=True)
class OwnWork:
    """What transactions did to the number of rows of each table.

    :param changes: rows inserted less deleted, by the table's present name; a table that is missing in it is 0.
    :param emptied: tables of which no row from before is left, because of TRUNCATE, or because they were dropped (and perhaps
        made anew); what ``changes`` says of them counts from an empty table.
    :param renamed: the name from before to the present one.
    """

    changes: OwnChanges = field(default_factory=dict)
    emptied: frozenset[Table] = frozenset()
    renamed: Mapping[Table, Table] = field(default_factory=dict)

    @property
    def touched(self) -> frozenset[Table]:
        """The tables whose number of rows may not be what it was."""
        return self.emptied | self.changes.keys()

    def then(self, later: OwnWork) -> OwnWork:
        """This work and later work as one."""
        changes = {later.renamed.get(table, table): rows for table, rows in self.changes.items()}
        for table in later.changes.keys() | later.emptied:
            before = 0 if table in later.emptied else changes.get(table, 0)
            changes[table] = before + later.changes.get(table, 0)
        renamed = {old: later.renamed.get(new, new) for old, new in self.renamed.items()}
        renamed |= {old: new for old, new in later.renamed.items() if old not in self.renamed.values()}
        return OwnWork(
            changes={table: rows for table, rows in changes.items() if rows},
            emptied=frozenset(later.renamed.get(table, table) for table in self.emptied) | later.emptied,
            renamed={old: new for old, new in renamed.items() if old != new},
        )

    @classmethod
    def of(cls, rows: Iterable[RowChange]) -> OwnWork:
        """As a result document tells it."""
        rows = list(rows)
        return cls(
            changes={(row.schema, row.table): row.change for row in rows if row.change},
            emptied=frozenset((row.schema, row.table) for row in rows if row.emptied),
            renamed={(row.was[0], row.was[1]): (row.schema, row.table) for row in rows if row.was},
        )

    def as_rows(self) -> list[RowChange]:
        """For a result document."""
        was = {new: old for old, new in self.renamed.items()}
        return [
            RowChange(
                schema=table[0],
                table=table[1],
                change=self.changes.get(table, 0),
                emptied=table in self.emptied,
                was=list(was[table]) if table in was else None,
            )
            for table in sorted(self.touched | was.keys())
        ]


def own_changes(connection: PgConnection, *, since: OwnChanges | None = None) -> dict[Table, int]:
    """Rows inserted less rows deleted per table by the present transaction; tables with no difference are left out.

    Cascaded deletes, triggers, COPY, MERGE and rows that move between partitions count (a partitioned table has the sum
    of its partitions); table rewrites do not. Read from pg_stat_xact_user_tables, with its limits:

    - It may still hold what earlier transactions of the session did. Unless the session is fresh, call this first
      thing in the transaction as well and give that as ``since``.
    - TRUNCATE is not counted, and it forgets what the transaction did to the table before; see :func:`own_work`.
    - What was undone by ROLLBACK TO SAVEPOINT, or by an exception block, stays counted: read this before any
      validation that writes under a savepoint.

    :raises CountError: when the server does not count (track_counts is off).
    """
    rows = fetch_all(connection, _OWN_CHANGES, [_OUR_RECORDS])
    if rows[0][0] != "on":
        raise CountError(
            "The server does not count what a transaction changes, because track_counts is off",
            where="setting track_counts",
            next_step="Switch it on, as it is by default; autovacuum needs it too.",
        )
    now = {(str(schema), str(table)): int(difference) for _on, schema, table, difference in rows if table is not None}
    earlier = since or {}
    differences = {table: now.get(table, 0) - earlier.get(table, 0) for table in now.keys() | earlier.keys()}
    return {table: difference for table, difference in sorted(differences.items()) if difference}


def own_work(connection: PgConnection, outside: PgConnection, *, since: OwnChanges | None = None) -> OwnWork:
    """What the present transaction did, TRUNCATE, DROP and renamed tables included.

    A table that it wrote to is counted by both sessions in one snapshot, where the other one may look: then what an exception
    block undid does not count. It may not where the transaction has the table for itself, or somebody waits to have it.

    :param outside: another session of the same database, which sees what is committed; its transaction is ended.
    :param since: see :func:`own_changes`, which raises the same.
    """
    changes = own_changes(connection, since=since)
    for table, exact in _differences_in_one_snapshot(connection, outside).items():
        if wrong := exact - changes.get(table, 0):
            for counted in {table} | _ancestors(connection, [table]):
                changes[counted] = changes.get(counted, 0) + wrong
    changes = {table: rows for table, rows in changes.items() if rows}
    committed = _table_files(outside)
    ours = _table_files(connection)
    locked = _locked_exclusively(connection)
    names = {known.table for known in committed.values()}
    emptied = set()
    renamed = {}
    for oid, now in ours.items():
        before = committed.get(oid)
        if before is None:
            # Made by this transaction, or by another one since the other session looked: then nothing of it is locked.
            if oid in locked and now.table in names | changes.keys():
                emptied.add(now.table)
            continue
        # A schema that gets another name takes its tables along without a lock on each.
        if before.table != now.table and (oid in locked or before.table[1] == now.table[1]):
            renamed[before.table] = now.table
        # Nobody else can have given it another file while this transaction has it for itself.
        if before.file != now.file and oid in locked and _holds(connection, now.table, changes.get(now.table, 0)):
            emptied.add(now.table)
    present = {known.table for known in ours.values()}
    dropped = {known.table for oid, known in committed.items() if oid in locked and oid not in ours} - present
    above = _ancestors(connection, emptied) | (_ancestors(outside, dropped) & present)
    return OwnWork(changes, frozenset(emptied | dropped | above), renamed)


def _differences_in_one_snapshot(connection: PgConnection, outside: PgConnection) -> dict[Table, int]:
    """The rows of written tables as the transaction sees them, less those that another session sees at the same moment."""
    import psycopg2.errors
    from psycopg2 import sql

    rows = fetch_all(
        connection,
        "select n.nspname, c.relname from pg_catalog.pg_stat_xact_user_tables s "
        "join pg_catalog.pg_class c on c.oid = s.relid join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
        "where s.n_tup_ins + s.n_tup_del > 0 and c.relkind = 'r' and c.relpersistence <> 't' "
        "and pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select') "
        "and n.nspname <> all(%s) and not pg_catalog.row_security_active(c.oid) and c.oid <> all(%s) order by 1, 2",
        [_OUR_RECORDS, sorted(_locked_exclusively(connection))],
    )
    tables = [(str(schema), str(table)) for schema, table in rows]
    if not tables:
        return {}
    counts = sql.SQL(", ").join(
        sql.SQL("(select count(*) from only {})").format(sql.Identifier(*table)) for table in tables
    )
    # One statement, so that what is exported is the snapshot that it counts in.
    ((snapshot, *ours),) = fetch_all(connection, sql.SQL("select pg_catalog.pg_export_snapshot(), {}").format(counts))
    outside.rollback()
    try:
        execute(outside, "set transaction isolation level repeatable read")
        execute(outside, sql.SQL("set transaction snapshot {}").format(sql.Literal(snapshot)))
        # Who waits for this transaction to have the table is ahead in the queue, and the three would wait for each other.
        execute(outside, f"set local lock_timeout = {_QUEUE_PATIENCE_MS}")
        (theirs,) = fetch_all(outside, sql.SQL("select {}").format(counts))
    except psycopg2.errors.LockNotAvailable:
        return {}
    finally:
        outside.rollback()
    return {table: int(own) - int(other) for table, own, other in zip(tables, ours, theirs, strict=True)}


def _table_files(connection: PgConnection) -> dict[int, _TableFile]:
    """Every table by its oid: its name, and the number of its file, which TRUNCATE and rewrites change."""
    rows = fetch_all(
        connection,
        "select c.oid, n.nspname, c.relname, c.relfilenode from pg_catalog.pg_class c "
        "join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'p') "
        "and c.relpersistence <> 't' and n.nspname not in ('pg_catalog', 'information_schema')",
    )
    return {int(oid): _TableFile((str(schema), str(table)), int(file)) for oid, schema, table, file in rows}


def _locked_exclusively(connection: PgConnection) -> frozenset[int]:
    rows = fetch_all(
        connection,
        "select l.relation from pg_catalog.pg_locks l where l.locktype = 'relation' and l.granted "
        "and l.pid = pg_catalog.pg_backend_pid() and l.mode = 'AccessExclusiveLock'",
    )
    return frozenset(int(oid) for (oid,) in rows)


def _holds(connection: PgConnection, table: Table, rows: int) -> bool:
    """Whether the table holds exactly so many rows. After TRUNCATE these are the own ones; after a rewrite there are others."""
    from psycopg2 import sql

    if rows < 0:
        return False
    query = sql.SQL("select count(*) from (select from only {} limit {}) as found").format(
        sql.Identifier(*table), sql.Literal(rows + 1)
    )
    with without_row_security(connection):
        return bool(fetch_value(connection, query) == rows)


def _ancestors(connection: PgConnection, tables: Iterable[Table]) -> frozenset[Table]:
    """The partitioned tables above these."""
    wanted = sorted(tables)
    if not wanted:
        return frozenset()
    rows = fetch_all(
        connection,
        "select distinct an.nspname, a.relname from unnest(%s::text[], %s::text[]) as wanted(nspname, relname) "
        "join pg_catalog.pg_namespace n on n.nspname = wanted.nspname "
        "join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = wanted.relname "
        "cross join lateral pg_catalog.pg_partition_ancestors(c.oid) as above(relid) "
        "join pg_catalog.pg_class a on a.oid = above.relid "
        "join pg_catalog.pg_namespace an on an.oid = a.relnamespace",
        [[schema for schema, _table in wanted], [table for _schema, table in wanted]],
    )
    return frozenset((str(schema), str(table)) for schema, table in rows)
