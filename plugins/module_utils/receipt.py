# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt of an executed dry run: what the open transaction locked, rewrote, touched and moved, seen from inside it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.connection import fetch_all
from ansible_collections.pgops.supabase.plugins.module_utils.documents import (
    HeldLock,
    MovedSequence,
    Receipt,
    StatementTiming,
    TouchedRows,
    UnexecutedStatement,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql_script import Statement

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

# What reads and plain writes take on their own; the other modes can hold somebody up (PostgreSQL, "Explicit Locking").
_WEAK_MODES = ("AccessShareLock",)


class Recorder:
    """Watches one transaction; made when it begins, asked for the receipt before it is rolled back.

    A lock counts as taken when the statement after which it is first seen began, and is held until the end: PostgreSQL
    releases no table lock before the transaction ends.
    """

    def __init__(self, connection: PgConnection) -> None:
        self._connection = connection
        self._files = _storage_files(connection)
        self._sequences = _sequence_values(connection)
        self._rows = _row_changes(connection)
        self._locks: dict[tuple[str, str], tuple[str, float]] = {}
        self._timings: list[StatementTiming] = []
        self._unexecuted: list[UnexecutedStatement] = []

    def executed(self, statement: Statement, seconds: float) -> None:
        """A statement has just run."""
        began = time.monotonic() - seconds
        where = str(statement.position)
        self._timings.append(StatementTiming(where=where, command=command_of(statement), seconds=round(seconds, 4)))
        for relation, mode in _locks(self._connection):
            self._locks.setdefault((relation, mode), (where, began))

    def not_executed(self, statement: Statement, reason: str) -> None:
        """A statement was left out of the dry run."""
        self._unexecuted.append(
            UnexecutedStatement(where=str(statement.position), command=command_of(statement), reason=reason)
        )

    def receipt(self) -> Receipt:
        """All of it, as the transaction stands now."""
        now = time.monotonic()
        files = _storage_files(self._connection)
        sequences = _sequence_values(self._connection)
        return Receipt(
            statements=self._timings,
            not_executed=self._unexecuted,
            locks=[
                HeldLock(relation=relation, mode=mode, where=where, held_seconds=round(now - began, 4))
                for (relation, mode), (where, began) in sorted(self._locks.items(), key=lambda item: item[1][1])
            ],
            rewritten_tables=sorted(
                name for oid, (name, file) in self._files.items() if oid in files and files[oid][1] != file
            ),
            rows=_difference(self._rows, _row_changes(self._connection)),
            sequences=[
                MovedSequence(sequence=name, before=before, after=sequences[name])
                for name, before in sorted(self._sequences.items())
                if name in sequences and sequences[name] != before
            ],
        )


def command_of(statement: Statement) -> str:
    """The first line of a statement, as much as a person needs to know it again."""
    line = " ".join(statement.sql.split("\n", 1)[0].split())
    return line if len(line) <= 80 else line[:77] + "..."


def _locks(connection: PgConnection) -> list[tuple[str, str]]:
    """Locks on tables, indexes, views and sequences of users that this transaction holds, by name and mode."""
    rows = fetch_all(
        connection,
        "select distinct n.nspname || '.' || c.relname, l.mode from pg_catalog.pg_locks l "
        "join pg_catalog.pg_class c on c.oid = l.relation join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
        "where l.pid = pg_catalog.pg_backend_pid() and l.granted and l.locktype = 'relation' "
        "and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()) "
        "and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'pgops', 'supabase_migrations') "
        "and n.nspname !~ '^pg_(temp|toast_temp)' and l.mode <> all(%s)",
        [list(_WEAK_MODES)],
    )
    return [(str(relation), str(mode)) for relation, mode in rows]


def _storage_files(connection: PgConnection) -> dict[int, tuple[str, int]]:
    """The storage file of each table of users, which changes when the table is rewritten."""
    rows = fetch_all(
        connection,
        "select c.oid, n.nspname || '.' || c.relname, pg_catalog.pg_relation_filenode(c.oid) from pg_catalog.pg_class c "
        "join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relkind in ('r', 'm') "
        "and n.nspname !~ '^(pg_|information_schema$|pgops$|supabase_migrations$)'",
    )
    return {int(oid): (str(name), int(file)) for oid, name, file in rows if file is not None}


def _sequence_values(connection: PgConnection) -> dict[str, int | None]:
    """Where each sequence of users stands; a sequence that was never used has no value. Sequences do not roll back."""
    rows = fetch_all(
        connection,
        "select schemaname || '.' || sequencename, last_value from pg_catalog.pg_sequences "
        "where schemaname !~ '^(pg_|pgops$|supabase_migrations$)'",
    )
    return {str(name): None if value is None else int(value) for name, value in rows}


def _row_changes(connection: PgConnection) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Rows inserted, updated and deleted by this transaction (pg_stat_xact_user_tables, which leaves TRUNCATE out)."""
    rows = fetch_all(
        connection,
        "select schemaname, relname, n_tup_ins, n_tup_upd, n_tup_del from pg_catalog.pg_stat_xact_user_tables "
        "where schemaname not in ('pgops', 'supabase_migrations')",
    )
    return {(str(schema), str(table)): (int(ins), int(upd), int(dele)) for schema, table, ins, upd, dele in rows}


def _difference(
    before: dict[tuple[str, str], tuple[int, int, int]], after: dict[tuple[str, str], tuple[int, int, int]]
) -> list[TouchedRows]:
    touched = []
    for (schema, table), now in sorted(after.items()):
        earlier = before.get((schema, table), (0, 0, 0))
        inserted, updated, deleted = (n - e for n, e in zip(now, earlier, strict=True))
        if inserted or updated or deleted:
            touched.append(TouchedRows(schema=schema, table=table, inserted=inserted, updated=updated, deleted=deleted))
    return touched
