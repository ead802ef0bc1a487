# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exact row counts on a session that is already open, so that a count can share the snapshot of whatever needs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import ConnectionFailed, CountError
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import TableCount
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    execute,
    fetch_all,
    fetch_value,
    is_lost_connection,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

TABLES_PER_STATEMENT = 500

_UNDEFINED_TABLE = "42P01"
_INSUFFICIENT_PRIVILEGE = "42501"


def user_tables(connection: PgConnection, schemas: Sequence[str]) -> list[tuple[str, str]]:
    """The tables of the schemas that hold rows of their own, as (schema, table), in order.

    Ordinary tables and partitions are listed. A partitioned parent has no rows but its partitions', and tables that
    belong to an extension are the extension's business; both are left out.
    """
    rows = fetch_all(
        connection,
        """
        select n.nspname, c.relname
        from pg_catalog.pg_class as c
        join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
        where c.relkind = 'r'
          and c.relpersistence <> 't'
          and n.nspname = any(%s)
          and not exists (
              select from pg_catalog.pg_depend as d
              where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
        order by n.nspname collate "C", c.relname collate "C"
        """,
        [list(schemas)],
    )
    return [(str(schema), str(table)) for schema, table in rows]


def existing_tables(connection: PgConnection, tables: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the tables, partitioned ones included, that exist in the present transaction, in the order given."""
    rows = fetch_all(
        connection,
        "select n.nspname, c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
        "where c.relkind in ('r', 'p') and n.nspname = any(%s)",
        [sorted({schema for schema, _table in tables})],
    )
    present = set(rows)
    return [table for table in tables if table in present]


def count_in_transaction(connection: PgConnection, tables: Sequence[tuple[str, str]]) -> list[TableCount]:
    """Count the rows of each table exactly, in the session's present transaction, in the order given.

    Up to 500 tables are one statement and so one snapshot; beyond that it is one snapshot only in a REPEATABLE READ
    transaction. Row security is switched off meanwhile, so that a hidden row is an error and not a smaller count.

    :raises CountError: when a table is missing or the role may not read all of it.
    :raises ConnectionFailed: when the session is lost meanwhile.
    """
    counts: list[TableCount] = []
    with without_row_security(connection):
        for start in range(0, len(tables), TABLES_PER_STATEMENT):
            counts.extend(_count_chunk(connection, tables[start : start + TABLES_PER_STATEMENT]))
    return counts


def _count_chunk(connection: PgConnection, tables: Sequence[tuple[str, str]]) -> list[TableCount]:
    import psycopg2
    from psycopg2 import sql

    partitioned = _partitioned(connection, tables)
    query = sql.SQL(" union all ").join(
        sql.SQL("select {position}, count(*) from {only} {table}").format(
            position=sql.Literal(position),
            only=sql.SQL("" if (schema, table) in partitioned else "only"),
            table=sql.Identifier(schema, table),
        )
        for position, (schema, table) in enumerate(tables)
    )
    try:
        rows = {int(position): int(rows) for position, rows in fetch_all(connection, query)}
    except psycopg2.Error as error:
        if is_lost_connection(error):
            raise ConnectionFailed(
                f"The connection was lost while rows were counted: {' '.join(str(error).split())}",
                next_step="Run again when the server can be reached.",
            ) from error
        raise _count_error(error) from error
    return [TableCount(schema=s, table=t, rows=rows[position]) for position, (s, t) in enumerate(tables)]


def _partitioned(connection: PgConnection, tables: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the tables whose rows are in their partitions. A parent by plain inheritance has rows of its own."""
    rows = fetch_all(
        connection,
        "select n.nspname, c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
        "where c.relkind = 'p' and n.nspname = any(%s)",
        [sorted({schema for schema, _table in tables})],
    )
    return set(rows)


@contextmanager
def without_row_security(connection: PgConnection) -> Iterator[None]:
    """row_security=off for one block, whatever it was before."""
    from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_INTRANS

    before = fetch_value(connection, "select pg_catalog.current_setting('row_security')")
    execute(connection, "select pg_catalog.set_config('row_security', 'off', false)")
    try:
        yield
    finally:
        # In an aborted transaction no statement runs any more, and its rollback brings the setting back.
        if connection.info.transaction_status in (TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_INTRANS):
            execute(connection, "select pg_catalog.set_config('row_security', %s, false)", [before])


def _count_error(error: BaseException) -> CountError:
    sqlstate = getattr(error, "pgcode", None)
    reason = str(error).strip().splitlines()[0] if str(error).strip() else "the session was lost"
    if sqlstate == _UNDEFINED_TABLE:
        next_step = "Check the names of the tables to count (project_count_tables in the inventory), schema included."
    elif sqlstate == _INSUFFICIENT_PRIVILEGE:
        next_step = "Connect as a role that reads every row: postgres on Supabase (it has BYPASSRLS)."
    else:
        next_step = "Mend what PostgreSQL says and run again; counting changes nothing."
    return CountError(
        f"The rows cannot be counted exactly: {reason}",
        next_step=next_step,
        details={"sqlstate": sqlstate},
    )
