# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receipt of an executed dry run: what the open transaction locked, rewrote, touched and moved, seen from inside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import (
    HeldLock,
    MovedSequence,
    Receipt,
    RewrittenTable,
    StatementTiming,
    TouchedRows,
    TriedMigration,
    UnexecutedStatement,
    Violation,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Statement
from ansible_collections.pgops.supabase.plugins.module_utils.sql.shown import shown

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

RelationKind = Literal["table", "index", "sequence", "view", "other"]
_RowChanges = Mapping[tuple[str, str], tuple[int, int, int]]

_KINDS: Mapping[str, RelationKind] = {
    "r": "table",
    "p": "table",
    "f": "table",
    "m": "table",
    "i": "index",
    "I": "index",
    "S": "sequence",
    "v": "view",
}
# PostgreSQL's own relations have smaller numbers (FirstNormalObjectId).
_FIRST_OF_USERS = 16384
_LAST = 2**32 - 1
# Whose locks nobody but us would wait for: the server's, ours, and those of temporary objects.
_NOT_THE_USERS = "^(pg_.*|information_schema|pgops|supabase_migrations)$"


class Recorder:
    """Watches one transaction; made when it begins, asked for the receipt when it is rolled back.

    A lock counts as taken when the statement after which it is first seen began, and is held until the end: PostgreSQL
    releases no table lock before the transaction ends. What a statement locked that failed, and was rolled back to its
    savepoint, is released at that moment and stands in no receipt.
    """

    def __init__(self, connection: PgConnection) -> None:
        self._connection = connection
        self._began = time.monotonic()
        self._files = _storage_files(connection)
        self._newest = max(self._files, default=_FIRST_OF_USERS)
        self._seen: set[tuple[int, str]] = set()
        self._locks: list[tuple[HeldLock, float]] = []
        self._on_new_objects: list[HeldLock] = []
        self._rewritten: dict[int, RewrittenTable] = {}
        self._size_at_first = self._size = _database_size(connection)
        self._rows_at_first = self._rows = _row_changes(connection)
        self._rows_undone: dict[tuple[str, str], tuple[int, int, int]] = {}
        self._timings: list[StatementTiming] = []
        self._unexecuted: list[UnexecutedStatement] = []
        self.violations: list[Violation] = []
        self.checks: Literal["run", "none", "not_reached"] = "not_reached"

    def executed_of(self, file: Path) -> int:
        """How many statements of a file were executed."""
        return sum(timing.where.rsplit(":", 2)[0] == str(file) for timing in self._timings)

    @property
    def is_complete(self) -> bool:
        """Whether every statement so far was executed."""
        return not self._unexecuted and not self.violations

    def executed(self, statement: Statement, seconds: float, rows: int | None) -> None:
        """A statement has just run."""
        where, command = str(statement.position), shown(statement.sql)
        self._timings.append(StatementTiming(where=where, command=command, seconds=round(seconds, 4), rows=rows))
        self._look_at_locks(where, command, time.monotonic() - seconds)

    def not_executed(self, statement: Statement, reason: str) -> None:
        """A statement was left out of the dry run."""
        self._unexecuted.append(
            UnexecutedStatement(where=str(statement.position), command=shown(statement.sql), reason=reason)
        )

    def before_a_savepoint(self) -> None:
        """What is counted from now on may be undone."""
        self._rows = _row_changes(self._connection)

    def undone(self) -> None:
        """A statement was rolled back to the savepoint before it; PostgreSQL goes on counting the rows it wrote."""
        now = _row_changes(self._connection)
        for table, counts in now.items():
            earlier, undone = self._rows.get(table, (0, 0, 0)), self._rows_undone.get(table, (0, 0, 0))
            self._rows_undone[table] = _sum(undone, _difference(counts, earlier))
        self._rows = now

    def collect(self) -> None:
        """Count what can be counted only before the transaction is rolled back, and before checks that write."""
        self._rows = _row_changes(self._connection)
        on_new = [(oid, mode) for oid, mode, _file in self._held(self._newest + 1, _LAST)]
        self._on_new_objects = self._described(on_new)
        sizes = fetch_all(
            self._connection,
            "select oid, pg_catalog.pg_total_relation_size(oid) from pg_catalog.unnest(%s::oid[]) as oid",
            [list(self._rewritten)],
        )
        for oid, size in sizes:
            self._rewritten[oid].bytes = int(size or 0)
        self._size = _database_size(self._connection)

    def receipt(
        self,
        migrations: Sequence[TriedMigration],
        sequences_before: Mapping[str, int | None],
        read_sequences: Callable[[], Mapping[str, int | None]],
    ) -> Receipt:
        """All of it; the transaction has just been rolled back."""
        now = time.monotonic()
        sequences_after = read_sequences()
        for lock, began in self._locks:
            lock.held_seconds = round(now - began, 4)
        used = {lock.relation for lock, _began in self._locks if lock.relation_kind == "sequence"}
        return Receipt(
            executed=len(self._timings),
            executed_seconds=round(sum(timing.seconds for timing in self._timings), 4),
            transaction_seconds=round(now - self._began, 4),
            database_bytes_before=self._size_at_first,
            database_bytes_after=self._size,
            checks=self.checks,
            migrations=list(migrations),
            statements=self._timings,
            not_executed=self._unexecuted,
            violations=self.violations,
            locks=[*(lock for lock, _began in self._locks), *self._on_new_objects],
            rewritten_tables=list(self._rewritten.values()),
            rows=self._touched_rows(),
            sequences=[
                MovedSequence(sequence=name, before=before, after=sequences_after[name], by_migrations=name in used)
                for name, before in sorted(sequences_before.items())
                if name in sequences_after and sequences_after[name] != before
            ],
        )

    def _look_at_locks(self, where: str, command: str, began: float) -> None:
        """Notice the locks, and the storage files of what is locked, that were not there before a statement.

        Only of what was there before the transaction: a thousand new tables hold thousands of locks, which nobody waits for.
        """
        held = self._held(_FIRST_OF_USERS, self._newest)
        new = [(oid, mode) for oid, mode, _file in held if (oid, mode) not in self._seen]
        for lock in self._described(new):
            lock.where = where
            self._locks.append((lock, began))
        for oid, _mode, file in held:
            if file is not None and oid in self._files and self._files[oid][1] not in (None, file):
                name, _file, is_table = self._files[oid]
                self._files[oid] = (name, file, is_table)
                if is_table:
                    self._rewritten[oid] = RewrittenTable(table=name, where=where, command=command, bytes=0)

    def _held(self, first: int, last: int) -> list[tuple[int, str, int | None]]:
        return [
            (int(oid), str(mode), file)
            for oid, mode, file in fetch_all(
                self._connection,
                "select relation, mode, case mode when 'AccessExclusiveLock' then pg_catalog.pg_relation_filenode(relation) "
                "end from pg_catalog.pg_locks where pid = pg_catalog.pg_backend_pid() and granted and locktype = 'relation' "
                "and relation between %s and %s",
                [first, last],
            )
        ]

    def _described(self, locks: Sequence[tuple[int, str]]) -> list[HeldLock]:
        self._seen.update(locks)
        names = _names(self._connection, [oid for oid, _mode in locks]) if locks else {}
        return [
            HeldLock(
                relation=name,
                relation_kind=kind,
                mode=mode,
                where=None,
                held_seconds=None,
                new_object=oid not in self._files,
            )
            for oid, mode in sorted(locks)
            if oid in names
            for kind, name in [names[oid]]
        ]

    def _touched_rows(self) -> list[TouchedRows]:
        touched = []
        for (schema, table), now in sorted(self._rows.items()):
            before = _sum(self._rows_at_first.get((schema, table), (0, 0, 0)), self._rows_undone.get((schema, table)))
            inserted, updated, deleted = _difference(now, before)
            if inserted or updated or deleted:
                touched.append(
                    TouchedRows(schema=schema, table=table, inserted=inserted, updated=updated, deleted=deleted)
                )
        return touched


def sequence_values(connection: PgConnection) -> dict[str, int | None]:
    """Where each sequence of users stands; one that was never used has no value. Ends the transaction.

    Asked in transactions of its own, before and after the one that is watched: reading the view locks the sequences as their
    use does, and what a sequence says inside the transaction may be rolled back (ALTER SEQUENCE ... RESTART) or not (nextval).
    """
    rows = fetch_all(
        connection,
        "select pg_catalog.format('%%I.%%I', schemaname, sequencename), last_value from pg_catalog.pg_sequences "
        "where schemaname !~ %s",
        [_NOT_THE_USERS],
    )
    connection.rollback()
    return {str(name): None if value is None else int(value) for name, value in rows}


def _names(connection: PgConnection, relations: Sequence[int]) -> dict[int, tuple[RelationKind, str]]:
    rows = fetch_all(
        connection,
        "select c.oid, c.relkind::text, pg_catalog.format('%%I.%%I', n.nspname, c.relname) from pg_catalog.pg_class c "
        "join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = any(%s::oid[]) and n.nspname !~ %s",
        [list(relations), _NOT_THE_USERS],
    )
    return {int(oid): (_KINDS.get(kind, "other"), str(name)) for oid, kind, name in rows}


def _database_size(connection: PgConnection) -> int:
    return int(fetch_value(connection, "select pg_catalog.pg_database_size(pg_catalog.current_database())"))


def _storage_files(connection: PgConnection) -> dict[int, tuple[str, int | None, bool]]:
    """Every relation of users, with its storage file, which changes when it is rewritten, and whether it is a table."""
    rows = fetch_all(
        connection,
        "select c.oid, pg_catalog.format('%%I.%%I', n.nspname, c.relname), pg_catalog.pg_relation_filenode(c.oid), "
        "c.relkind in ('r', 'm') from pg_catalog.pg_class c "
        "join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname !~ %s",
        [_NOT_THE_USERS],
    )
    return {int(oid): (str(name), None if file is None else int(file), is_table) for oid, name, file, is_table in rows}


def _row_changes(connection: PgConnection) -> dict[tuple[str, str], tuple[int, int, int]]:
    """Rows inserted, updated and deleted by this transaction so far (TRUNCATE is left out by PostgreSQL)."""
    rows = fetch_all(
        connection,
        "select n.nspname, c.relname, x.inserted, x.updated, x.deleted from pg_catalog.pg_class c "
        "join pg_catalog.pg_namespace n on n.oid = c.relnamespace cross join lateral (select "
        "pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) as inserted, "
        "pg_catalog.pg_stat_get_xact_tuples_updated(c.oid) as updated, "
        "pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) as deleted offset 0) as x "
        "where c.relkind in ('r', 'm') and n.nspname !~ %s and x.inserted + x.updated + x.deleted > 0",
        [_NOT_THE_USERS],
    )
    return {(str(schema), str(table)): (int(ins), int(upd), int(dele)) for schema, table, ins, upd, dele in rows}


def _sum(one: tuple[int, int, int], other: tuple[int, int, int] | None) -> tuple[int, int, int]:
    return one if other is None else (one[0] + other[0], one[1] + other[1], one[2] + other[2])


def _difference(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2]
