# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the database says of a batch that is linted: sizes of the tables it changes, and rows that would not obey. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.lint.batch import (
    ColumnFacts,
    DataCheck,
    Facts,
    Limits,
    LintBatch,
    TableFacts,
)
from ansible_collections.pgops.supabase.plugins.module_utils.lint.contained import contained_in
from ansible_collections.pgops.supabase.plugins.module_utils.postgres import violating_rows
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import always_quoted
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import (
    message_without_values,
    taken_back,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.effects import (
    containers_dropped_by,
    dropped_by,
    emptied_by,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.table_changes import (
    TableChange,
    expression_text,
    table_changes,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import DatabaseObject

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

# Counting stops here: that there are so many is all that anybody has to know.
MOST_VIOLATIONS = 10_000

_SIZE = """
select coalesce((select sum(pg_catalog.pg_table_size(relid)) from pg_catalog.pg_partition_tree(%(table)s)),
                pg_catalog.pg_table_size(%(table)s))::bigint
"""

# atttypmod holds a length with 4 added, or precision and scale of numeric in its two halves.
_COLUMNS = """
select a.attname, t.typname,
       case when a.atttypmod < 0 then '{}'::int[]
            when t.typname in ('varchar', 'bpchar') then array[a.atttypmod - 4]
            when t.typname = 'numeric' then array[((a.atttypmod - 4) >> 16) & 65535, (a.atttypmod - 4) & 2047]
            else array[a.atttypmod] end,
       a.attnotnull or exists (
           select from pg_catalog.pg_constraint c
           where c.conrelid = a.attrelid and c.contype = 'c' and c.convalidated
             and pg_catalog.pg_get_constraintdef(c.oid) = pg_catalog.format('CHECK ((%%I IS NOT NULL))', a.attname))
from pg_catalog.pg_attribute a join pg_catalog.pg_type t on t.oid = a.atttypid
where a.attrelid = %s and a.attnum > 0 and not a.attisdropped
"""

_PRIMARY_KEY = """
select a.attname
from pg_catalog.pg_index i
cross join lateral unnest(i.indkey) with ordinality as k(attnum, place)
join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indrelid = %s and i.indisprimary
order by k.place
"""


def read_facts(connection: PgConnection, batch: LintBatch) -> Facts:
    """Read what the rules need to know, in one read-only transaction.

    Of a table whose rows cannot be looked at, for want of a privilege or of time, that is noted.
    """
    changes = [change for statement in batch.statements() for change in table_changes(statement)]
    oids = _existing(connection, batch, changes)
    dropped = {d.what for s in batch.all_statements() for d in dropped_by(s) if d.what.kind == "column"}
    tables, unknown = {}, {}
    for table, oid in oids.items():
        with _guarded(connection) as outcome:
            columns = [what.name for what in dropped if what.owner == table]
            tables[table] = _table_facts(connection, table, oid, columns, batch.limits)
        if outcome.problem:
            unknown[table] = outcome.problem
    contained = {}
    for container in {c for s in batch.all_statements() for c in containers_dropped_by(s)}:
        with _guarded(connection) as outcome:
            held = contained_in(connection, container)
            if held is not None:
                contained[container] = held
        if outcome.problem:
            unknown[container] = outcome.problem
    return Facts(
        tables=tables,
        unknown=unknown,
        volatile_functions=_volatile(connection, changes),
        contained=contained,
        overloaded=_overloaded(connection, batch),
        checks=[check for change in changes if (check := _check(connection, batch, change, tables, oids))],
    )


class _Outcome:
    """Why a guarded block came to no end; empty when it did."""

    problem = ""


@contextmanager
def _guarded(connection: PgConnection, *, own_sql: bool = False) -> Iterator[_Outcome]:
    """Want of time or of a privilege in the block is noted, and the transaction goes on.

    :param own_sql: whether the block runs SQL of the migration's own, which may fail in more ways.
    """
    import psycopg2
    import psycopg2.errors

    expected: tuple[type[psycopg2.Error], ...] = (
        psycopg2.errors.QueryCanceled,
        psycopg2.errors.LockNotAvailable,
        psycopg2.errors.InsufficientPrivilege,
    )
    if own_sql:
        # What its expression needs may not be there yet, or fail on the rows.
        expected += (psycopg2.ProgrammingError, psycopg2.DataError)
    outcome = _Outcome()
    with taken_back(connection, "pgops_lint"):
        try:
            yield outcome
        except expected as error:
            outcome.problem = message_without_values(error)


def _existing(connection: PgConnection, batch: LintBatch, changes: Sequence[TableChange]) -> dict[DatabaseObject, int]:
    """The tables that the batch changes, empties or drops and that are there now, with their OIDs."""
    wanted = {change.table for change in changes} | {c.referenced for c in changes if c.referenced}
    for statement in batch.all_statements():
        for dropped in dropped_by(statement):
            if dropped.what.kind in ("table", "column"):
                wanted.add(dropped.what.owner or dropped.what)
        wanted |= {table for table, _all in emptied_by(statement)}
    rows = fetch_all(
        connection,
        "select n.nspname, c.relname, c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n "
        "on n.oid = c.relnamespace where c.relkind in ('r', 'p') and n.nspname = any(%s) and c.relname = any(%s)",
        [sorted({t.schema for t in wanted}), sorted({t.name for t in wanted})],
    )
    found = {DatabaseObject("table", schema, name): int(oid) for schema, name, oid in rows}
    return {table: oid for table, oid in found.items() if table in wanted}


def _table_facts(
    connection: PgConnection, table: DatabaseObject, oid: int, dropped: Sequence[str], limits: Limits
) -> TableFacts:
    from psycopg2 import sql

    name = sql.Identifier(table.schema, table.name)
    # The statistics may be old or not there at all; going through so many rows takes milliseconds.
    rows = fetch_value(
        connection,
        sql.SQL("select count(*) from (select from {} limit %s) first_rows").format(name),
        [limits.rows + 1],
    )
    columns = fetch_all(connection, _COLUMNS, [oid])
    there = {column for column, *_rest in columns}
    return TableFacts(
        rows=int(rows),
        size_bytes=int(fetch_value(connection, _SIZE.replace("%(table)s", "%s::oid::regclass"), [oid, oid])),
        columns={column: ColumnFacts(type_name, tuple(modifiers)) for column, type_name, modifiers, _proven in columns},
        filled=frozenset(column for column in dropped if column in there and _is_filled(connection, name, column)),
        proven_not_null=frozenset(column for column, _type, _modifiers, proven in columns if proven),
    )


def _is_filled(connection: PgConnection, table: Any, column: str) -> bool:
    from psycopg2 import sql

    query = sql.SQL("select exists (select from {} where {} is not null)").format(table, sql.Identifier(column))
    return fetch_value(connection, query) is True


def _volatile(connection: PgConnection, changes: Sequence[TableChange]) -> frozenset[str]:
    """Which of the functions that defaults call may give another value each time."""
    names = sorted({function for change in changes for function in change.functions})
    rows = fetch_all(
        connection,
        "select distinct proname from pg_catalog.pg_proc where provolatile = 'v' and proname = any(%s)",
        [names],
    )
    return frozenset(name for (name,) in rows)


def _overloaded(connection: PgConnection, batch: LintBatch) -> frozenset[tuple[str, str]]:
    """Which of the functions that the batch drops have a namesake with other arguments."""
    names = sorted({d.what.name for s in batch.statements() for d in dropped_by(s) if d.what.kind == "function"})
    rows = fetch_all(
        connection,
        "select n.nspname, p.proname from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace "
        "where p.proname = any(%s) group by 1, 2 having count(*) > 1",
        [names],
    )
    return frozenset((str(schema), str(name)) for schema, name in rows)


def _check(
    connection: PgConnection,
    batch: LintBatch,
    change: TableChange,
    tables: dict[DatabaseObject, TableFacts],
    oids: dict[DatabaseObject, int],
) -> DataCheck | None:
    """Look for rows against a change; None where none can be, or where the batch itself makes what is asked about."""
    from psycopg2 import sql

    if change.table not in oids or change.table in batch.created or change.not_valid or change.using_index:
        return None
    if any(
        DatabaseObject("column", change.table.schema, c, change.table.name) in batch.created for c in change.columns
    ):
        return _new_column_check(change, tables)
    if _is_beyond(change):
        facts = tables.get(change.table)
        problem = "the linter does not ask about constraints of this kind"
        return DataCheck(change, None, problem=problem) if facts and facts.rows else None
    with _guarded(connection, own_sql=change.action == "check") as outcome:
        try:
            query = _violations(connection, change, oids)
        except RecursionError:
            return DataCheck(change, None, problem="its expression is too long to be asked about")
        if query is None:
            return None
        bounded = sql.SQL("select count(*) from ({} limit {}) against").format(query, sql.Literal(MOST_VIOLATIONS))
        found = int(fetch_value(connection, bounded))
    if outcome.problem:
        return DataCheck(change, None, problem=outcome.problem)
    return DataCheck(change, found, at_least=found >= MOST_VIOLATIONS)


def _is_beyond(change: TableChange) -> bool:
    """Whether rows may be against the change in a way that no query of ours finds."""
    partial = change.action == "index" and change.unique and change.has_expression
    return partial or change.action in ("exclusion", "validate")


def _new_column_check(change: TableChange, tables: dict[DatabaseObject, TableFacts]) -> DataCheck | None:
    """A new column that has to be filled, but with what?"""
    table = tables.get(change.table)
    if change.action == "add_column" and change.not_null and not change.has_default and not change.computed and table:
        return DataCheck(change, table.rows, at_least=True)
    return None


def _violations(connection: PgConnection, change: TableChange, oids: dict[DatabaseObject, int]) -> Any:
    """A query for the rows against a change; None when there is nothing to ask."""
    from psycopg2 import sql

    table = sql.Identifier(change.table.schema, change.table.name)
    keys = [always_quoted(column) for column in change.columns]
    if change.action == "set_not_null":
        return violating_rows.nulls(table, change.columns)
    if change.action == "check":
        return violating_rows.against_check(table, expression_text(change))
    if change.action == "foreign_key":
        target = change.referenced
        if target is None or target not in oids:
            return None
        referenced = change.referenced_columns or [c for (c,) in fetch_all(connection, _PRIMARY_KEY, [oids[target]])]
        return violating_rows.orphans(table, change.columns, sql.Identifier(target.schema, target.name), referenced)
    if change.action == "primary_key":
        return sql.SQL("{} union all {}").format(
            violating_rows.duplicates(table, keys), violating_rows.nulls(table, change.columns)
        )
    if change.action == "unique" or (change.action == "index" and change.unique):
        return violating_rows.duplicates(table, keys, nulls_equal=change.nulls_equal)
    return None
