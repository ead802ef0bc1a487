# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data that lives only in what a script drops or deletes: found by executing the script under a savepoint."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import taken_back
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.deleted_rows import (
    DeletedRows,
    tables_with_deleted_rows,
    written_by_table,
)
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.stored_tables import (
    StoredTable,
    primary_key,
    stored_tables,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

STILL_APPLIED = "the rollback itself was rolled back: the migrations are still applied and nothing was changed"


@dataclass(frozen=True)
class DroppedData:
    """A table, or some columns of one, that would be dropped with data in it.

    :param key: the columns that identify a row when only columns are dropped; all columns of a dropped table.
    """

    stored: StoredTable
    key: tuple[str, ...]
    columns: tuple[str, ...]
    whole_table: bool
    rows: int

    @property
    def label(self) -> str:
        """What is lost, in words."""
        name = f"{self.stored.schema}.{self.stored.table}"
        what = f"table {name}" if self.whole_table else f"{', '.join(self.columns)} of {name}"
        return f"{what} ({number(self.rows, 'row')})"

    @property
    def query(self) -> Any:
        """What is exported of it."""
        from psycopg2 import sql

        names = self.columns if self.whole_table else (*self.key, *self.columns)
        return sql.SQL("select {columns} from {table} {condition}").format(
            columns=sql.SQL(", ").join(map(sql.Identifier, names)),
            table=self.stored.rows_of,
            condition=sql.SQL("") if self.whole_table else _any_not_null(self.columns),
        )


@dataclass(frozen=True)
class LostData:
    """All that scripts lose: what they drop with data in it, and the tables that stay and that they delete rows from."""

    dropped: list[DroppedData]
    deleted: list[DeletedRows]

    @property
    def labels(self) -> list[str]:
        """What is lost, in words."""
        return [item.label for item in self.dropped] + [item.label for item in self.deleted]


def find_lost_data(connection: PgConnection, schemas: Sequence[str], execute_scripts: Callable[[], None]) -> LostData:
    """What the scripts would drop that holds data, or delete. They are executed for it, and taken back, within the open transaction.

    The tables concerned stay locked against writes until the transaction ends, so that nothing is written between the export
    and the drop. Row level security stays off in the session until it is reset.
    """
    everywhere = {table.oid: table for table in stored_tables(connection)}
    before = [table for table in everywhere.values() if table.schema in schemas]
    written = written_by_table(connection)
    with taken_back(connection, "pgops_dropped_data"):
        execute_scripts()
        # A row that row level security hides has to be an error, not a row that is lost.
        execute(connection, "set local row_security = off")
        emptied = tables_with_deleted_rows(connection, written)
        # By their identity, wherever they are now: renaming loses nothing, and a table made anew under an old name is not the old one.
        after = {table.oid: table.columns.keys() for table in stored_tables(connection)}
    execute(connection, "set local row_security = off")
    lost = {
        table.oid: {name for number, name in table.columns.items() if number not in after.get(table.oid, set())}
        for table in before
    }
    candidates = [
        _candidate(connection, table, after.get(table.oid))
        for table in before
        # What a partitioned table loses holds what each of its partitions loses.
        if not lost[table.oid] <= lost.get(table.parent or 0, set())
    ]
    # One that holds nothing looks emptied when the scripts write it anew, as for a column's new type.
    deleted = [
        table for oid in emptied if oid in after and (table := everywhere.get(oid)) and _holds_rows(connection, table)
    ]
    return LostData(
        [candidate for candidate in candidates if candidate.rows],
        [_deleted(connection, table) for table in sorted(deleted, key=lambda table: (table.schema, table.table))],
    )


def _holds_rows(connection: PgConnection, table: StoredTable) -> bool:
    from psycopg2 import sql

    return bool(fetch_value(connection, sql.SQL("select exists (select from {})").format(table.rows_of)))


def _deleted(connection: PgConnection, table: StoredTable) -> DeletedRows:
    from psycopg2 import sql

    execute(connection, sql.SQL("lock table only {} in share mode").format(sql.Identifier(table.schema, table.table)))
    return DeletedRows(table, primary_key(connection, table.oid))


def _candidate(connection: PgConnection, table: StoredTable, kept: Collection[int] | None) -> DroppedData:
    from psycopg2 import sql

    name = sql.Identifier(table.schema, table.table)
    execute(connection, sql.SQL("lock table {} in share mode").format(name))
    lost = tuple(column for number, column in table.columns.items() if kept is None or number not in kept)
    condition = sql.SQL("") if kept is None else _any_not_null(lost)
    rows = fetch_value(connection, sql.SQL("select count(*) from {} {}").format(table.rows_of, condition))
    others = tuple(column for column in table.columns.values() if column not in lost)
    key = () if kept is None else tuple(c for c in primary_key(connection, table.oid) if c not in lost) or others
    return DroppedData(table, key, lost, kept is None, int(rows))


def _any_not_null(columns: Sequence[str]) -> Any:
    from psycopg2 import sql

    return sql.SQL("where ") + sql.SQL(" or ").join(
        sql.SQL("{} is not null").format(sql.Identifier(c)) for c in columns
    )
