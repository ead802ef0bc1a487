# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data that lives only in what a script drops: found by executing the script under a savepoint, and exported before it goes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.errors import RollbackError
from ansible_collections.pgops.supabase.plugins.module_utils.files import (
    PRIVATE_FILE,
    fsync_directory,
    make_private_directory,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

_SAVEPOINT = "pgops_dropped_data"


@dataclass(frozen=True)
class DroppedData:
    """A table, or some columns of one, that would be dropped with data in it.

    :param key: the columns that identify a row when only columns are dropped; all columns of a dropped table.
    """

    schema: str
    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    whole_table: bool
    rows: int

    @property
    def label(self) -> str:
        """What is lost, in words."""
        name = f"{self.schema}.{self.table}"
        what = f"table {name}" if self.whole_table else f"{', '.join(self.columns)} of {name}"
        return f"{what} ({self.rows} rows)"


def find_dropped_data(
    connection: PgConnection, schemas: Sequence[str], execute_scripts: Callable[[], None]
) -> list[DroppedData]:
    """What the scripts would drop that holds data. They are executed for it, and taken back, within the open transaction.

    The tables concerned stay locked against writes until the transaction ends, so that nothing is written between the export
    and the drop.
    """
    before = _columns(connection, schemas)
    execute(connection, f"savepoint {_SAVEPOINT}")
    execute_scripts()
    after = _columns(connection, schemas)
    execute(connection, f"rollback to savepoint {_SAVEPOINT}")
    execute(connection, f"release savepoint {_SAVEPOINT}")
    candidates = (
        _candidate(connection, schema, table, columns, after.get((schema, table)))
        for (schema, table), columns in sorted(before.items())
        if set(columns) - set(after.get((schema, table), ()))
    )
    return [candidate for candidate in candidates if candidate.rows]


def export_dropped_data(connection: PgConnection, data: Sequence[DroppedData], directory: Path) -> list[Path]:
    """Write each of them as CSV with a header into a directory; whole or absent.

    :raises RollbackError: when a file cannot be written; the caller rolls back.
    """
    from psycopg2 import sql

    written = []
    try:
        make_private_directory(directory)
        for item in data:
            names = item.columns if item.whole_table else (*item.key, *item.columns)
            query = sql.SQL("copy (select {columns} from {table} {condition}) to stdout (format csv, header)").format(
                columns=sql.SQL(", ").join(map(sql.Identifier, names)),
                table=sql.Identifier(item.schema, item.table),
                condition=sql.SQL("") if item.whole_table else _any_not_null(item.columns),
            )
            target = directory / f"{item.schema}.{item.table}.csv"
            partial = target.with_suffix(".csv.incomplete")
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE), "wb") as stream:
                with connection.cursor() as cursor:
                    cursor.copy_expert(query, stream)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(target)
            written.append(target)
        fsync_directory(directory)
    except OSError as error:
        raise RollbackError(
            f"The data that the rollback drops could not be exported: {error.strerror}",
            where=str(error.filename or directory),
            state="nothing was changed; the migrations are still applied",
            next_step="Make room or name another export_dir, then run again.",
        ) from error
    return written


def _columns(connection: PgConnection, schemas: Sequence[str]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The stored columns of each table. Generated columns can be computed again and are not data of their own."""
    rows = fetch_all(
        connection,
        "select n.nspname, c.relname, array_agg(a.attname::text order by a.attnum) from pg_catalog.pg_class c "
        "join pg_catalog.pg_namespace n on n.oid = c.relnamespace join pg_catalog.pg_attribute a on a.attrelid = c.oid "
        "where c.relkind in ('r', 'p') and n.nspname = any(%s) and a.attnum > 0 and not a.attisdropped "
        "and a.attgenerated = '' group by 1, 2",
        [list(schemas)],
    )
    return {(schema, table): tuple(columns) for schema, table, columns in rows}


def _candidate(
    connection: PgConnection, schema: str, table: str, columns: tuple[str, ...], kept: tuple[str, ...] | None
) -> DroppedData:
    from psycopg2 import sql

    name = sql.Identifier(schema, table)
    execute(connection, sql.SQL("lock table {} in share mode").format(name))
    lost = columns if kept is None else tuple(c for c in columns if c not in kept)
    condition = sql.SQL("") if kept is None else _any_not_null(lost)
    rows = fetch_value(connection, sql.SQL("select count(*) from {} {}").format(name, condition))
    key = () if kept is None else _key(connection, schema, table) or kept
    return DroppedData(schema, table, key, lost, kept is None, int(rows))


def _key(connection: PgConnection, schema: str, table: str) -> tuple[str, ...]:
    rows = fetch_all(
        connection,
        "select a.attname from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indrelid "
        "join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
        "cross join lateral unnest(i.indkey) with ordinality as k(attnum, position) "
        "join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum "
        "where i.indisprimary and n.nspname = %s and c.relname = %s order by k.position",
        [schema, table],
    )
    return tuple(column for (column,) in rows)


def _any_not_null(columns: Sequence[str]) -> Any:
    from psycopg2 import sql

    return sql.SQL("where ") + sql.SQL(" or ").join(
        sql.SQL("{} is not null").format(sql.Identifier(c)) for c in columns
    )
