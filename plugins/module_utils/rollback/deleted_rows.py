# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that a script deletes from tables that stay: found by executing it under a savepoint, beside a copy of what was there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import OWN_SCHEMA
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import taken_back
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.stored_tables import StoredTable

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection


@dataclass(frozen=True)
class Written:
    """What the open transaction did to one table so far, by PostgreSQL's own count, and the file that its rows are in."""

    inserted: int
    deleted: int
    file: int


@dataclass(frozen=True)
class DeletedRows:
    """A table that stays, and that a script deletes rows from.

    :param key: the columns of its primary key; none where it has none.
    """

    stored: StoredTable
    key: tuple[str, ...]

    @property
    def label(self) -> str:
        """What is lost, in words."""
        return f"rows deleted from {self.stored.schema}.{self.stored.table}"


def written_by_table(connection: PgConnection) -> dict[int, Written]:
    """Every table that this session may read, but the records of ours, by its oid."""
    rows = fetch_all(
        connection,
        "select s.relid, s.n_tup_ins, s.n_tup_del, c.relfilenode from pg_catalog.pg_stat_xact_user_tables s "
        "join pg_catalog.pg_class c on c.oid = s.relid where c.relkind = 'r' and c.relpersistence <> 't' "
        "and s.schemaname <> all(%s) and pg_catalog.has_table_privilege(c.oid, 'select')",
        [[OWN_SCHEMA, "supabase_migrations"]],
    )
    return {int(oid): Written(int(inserted), int(deleted), int(file)) for oid, inserted, deleted, file in rows}


def tables_with_deleted_rows(connection: PgConnection, before: dict[int, Written]) -> list[int]:
    """The oids of the tables that were there before and that the transaction deleted rows from since, or emptied by TRUNCATE.

    PostgreSQL does not count what TRUNCATE removes; but the table has a new file then, and no rows but the transaction's own.
    """
    found = []
    for oid, now in written_by_table(connection).items():
        earlier = before.get(oid)
        if earlier is None:
            continue
        if now.deleted > earlier.deleted or (now.file != earlier.file and _has_only(connection, oid, now)):
            found.append(oid)
    return found


def _has_only(connection: PgConnection, oid: int, own: Written) -> bool:
    from psycopg2 import sql

    name = fetch_value(connection, "select %s::regclass::text", [oid])
    left = max(own.inserted - own.deleted, 0)
    query = sql.SQL("select count(*) from (select from only {} limit {}) as found")
    return bool(fetch_value(connection, query.format(sql.SQL(name), sql.Literal(left + 1))) == left)


@contextmanager
def deleted(
    connection: PgConnection, tables: Sequence[DeletedRows], execute_scripts: Callable[[], None]
) -> Iterator[list[Any]]:
    """For each of the tables the query of the rows that the scripts delete, to be run within the block.

    The scripts are executed, and taken back at the block's end. Until then the database holds a copy of each table.
    A row is the same as before while its primary key is; without one, while all of its values are.
    """
    from psycopg2 import sql

    with taken_back(connection, "pgops_deleted_rows"):
        # No temporary tables: each script runs as if in a session of its own, which has none.
        # A row that row level security hides has to be an error, not a row that is lost; the scripts run as ever.
        execute(connection, "set local row_security = off")
        for number, item in enumerate(tables):
            copied = sql.SQL("create unlogged table {} as select {} from {}").format(
                _copy_of(number), _copied(connection, item.stored), item.stored.rows_of
            )
            execute(connection, copied)
        execute(connection, "reset row_security")
        execute_scripts()
        execute(connection, "set local row_security = off")
        yield [_gone(connection, number, item) for number, item in enumerate(tables)]


def _gone(connection: PgConnection, number: int, item: DeletedRows) -> Any:
    from psycopg2 import sql

    # Compared as text: the scripts may change the type of what stays.
    columns, copy = _list(item.stored.columns.values()), _copy_of(number)
    name = sql.SQL(fetch_value(connection, "select %s::regclass::text", [item.stored.oid]))
    now = _names_now(connection, item.stored.oid)
    numbers = {name: number for number, name in item.stored.columns.items()}
    # A key that the database generates is not among what is copied.
    key = item.key if set(item.key or ()) <= set(item.stored.columns.values()) else None
    wanted = key or tuple(item.stored.columns.values())
    pairs = [(column, now[numbers[column]]) for column in wanted if numbers[column] in now]
    if key and len(pairs) < len(key):
        # What tells the rows apart goes as well, so all of them are kept.
        return sql.SQL("select {} from {}").format(columns, copy)
    then, later = ([sql.Identifier(pair[side]) for pair in pairs] for side in (0, 1))
    if key:
        return sql.SQL(
            "select {} from {} as earlier where not exists (select from only {} as later where ({}) = ({}))"
        ).format(columns, copy, name, _qualified("later", later, "::text"), _qualified("earlier", then, "::text"))
    # Rows that are alike are told apart by their number.
    numbered = sql.SQL("select {}, row_number() over (partition by row({})::text) as pgops_number from {}")
    return sql.SQL(
        "select {} from ({}) as earlier where not exists (select from ({}) as later "
        "where later.pgops_number = earlier.pgops_number and row({})::text = row({})::text)"
    ).format(
        columns,
        numbered.format(columns, sql.SQL(", ").join(then), copy),
        numbered.format(sql.SQL(", ").join(later), sql.SQL(", ").join(later), sql.SQL("only {}").format(name)),
        _qualified("later", later),
        _qualified("earlier", then),
    )


def _copied(connection: PgConnection, stored: StoredTable) -> Any:
    """The columns as they are copied: a copy that used a type of the project's own would keep the scripts from dropping it."""
    from psycopg2 import sql

    rows = fetch_all(
        connection,
        "select a.attname from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid "
        "where a.attrelid = %s and a.attnum > 0 and t.typnamespace <> 'pg_catalog'::regnamespace",
        [stored.oid],
    )
    as_text = {str(name) for (name,) in rows}
    return sql.SQL(", ").join(
        sql.SQL("{0}::text as {0}" if name in as_text else "{}").format(sql.Identifier(name))
        for name in stored.columns.values()
    )


def _names_now(connection: PgConnection, oid: int) -> dict[int, str]:
    rows = fetch_all(
        connection,
        "select attnum, attname from pg_catalog.pg_attribute where attrelid = %s and attnum > 0 and not attisdropped",
        [oid],
    )
    return {int(number): str(name) for number, name in rows}


def _copy_of(number: int) -> Any:
    from psycopg2 import sql

    return sql.Identifier(OWN_SCHEMA, f"rows_before_{number}")


def _list(names: Any) -> Any:
    from psycopg2 import sql

    return sql.SQL(", ").join(map(sql.Identifier, names))


def _qualified(alias: str, names: Sequence[Any], cast: str = "") -> Any:
    from psycopg2 import sql

    return sql.SQL(", ").join(sql.SQL("{}.{}" + cast).format(sql.SQL(alias), name) for name in names)
