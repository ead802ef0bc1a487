# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a constraint refuses: every constraint of the statement that failed, with the exact number of rows where SQL can tell.

PostgreSQL stops at the first row of the first constraint. The numbers come from queries of our own, in a savepoint that is
rolled back; the rows themselves are not read, and nothing is said of them but PostgreSQL's own DETAIL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import Violation
from ansible_collections.pgops.supabase.plugins.module_utils.postgres import violating_rows
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute, fetch_all, fetch_value
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import always_quoted
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import (
    message_without_values,
    taken_back,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Statement
from ansible_collections.pgops.supabase.plugins.module_utils.sql.shown import shown
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import commands_of, strings

if TYPE_CHECKING:
    from psycopg2 import Error as PgError
    from psycopg2.extensions import connection as PgConnection

NOT_NULL, FOREIGN_KEY, UNIQUE, CHECK = "23502", "23503", "23505", "23514"
_COUNTED = {
    NOT_NULL: "where {} is null",
    FOREIGN_KEY: "without a row in {}",
    UNIQUE: "that share their key with another row",
    CHECK: "for which the check is false",
}


@dataclass(frozen=True)
class _Refused:
    """A constraint that some rows break."""

    sqlstate: str
    table: str
    constraint: str | None
    rows: int
    counted: str

    def as_violation(self, statement: Statement, error: PgError) -> Violation:
        named = error.diag.constraint_name
        if self.sqlstate == NOT_NULL:
            named = f"not null of {error.diag.column_name}"
        same = self.sqlstate == error.pgcode and self.constraint in (None, named)
        return Violation(
            where=str(statement.position),
            statement=shown(statement.sql),
            constraint=self.constraint or (named if same else None),
            table=self.table,
            sqlstate=self.sqlstate,
            message=_message(error) if same else f"{self.rows} rows {self.counted}",
            detail=error.diag.message_detail if same else None,
            deferred=False,
            rows=self.rows,
            counted=self.counted,
        )


def is_violation(error: PgError) -> bool:
    """Whether rows of users break a constraint; a race for a name in the catalog has the same SQLSTATE."""
    return (error.pgcode or "").startswith("23") and error.diag.schema_name != "pg_catalog"


def violations_of(connection: PgConnection, statement: Statement, error: PgError) -> list[Violation]:
    """Every constraint that a statement meets and that rows break; at least the one that PostgreSQL named.

    To be asked when the statement was rolled back to the savepoint before it.
    """
    try:
        found = [refused.as_violation(statement, error) for refused in _refused(connection, statement)]
    except RecursionError:
        # An expression of hundreds of operators cannot be written anew as SQL; PostgreSQL's own answer remains.
        found = []
    if any(violation.message == _message(error) for violation in found):
        return found
    return [violation_of(error, where=str(statement.position), statement=shown(statement.sql)), *found]


def violation_of(error: PgError, *, where: str, statement: str, deferred: bool = False) -> Violation:
    """The one that PostgreSQL names."""
    diagnosis = error.diag
    table = _name(diagnosis.schema_name, diagnosis.table_name)
    return Violation(
        where=where,
        statement=statement,
        constraint=diagnosis.constraint_name
        or (f"not null of {diagnosis.column_name}" if diagnosis.column_name else None),
        table=table,
        sqlstate=error.pgcode or "",
        message=_message(error),
        detail=diagnosis.message_detail,
        deferred=deferred,
    )


def count_deferred(connection: PgConnection, violation: Violation, schema: str, constraint: str) -> None:
    """Add the number of rows to the violation of a deferred constraint: they are all in their tables."""
    counted = _in_a_savepoint(connection, lambda: _by_name(connection, schema, constraint, violation.table))
    if counted:
        violation.rows, violation.counted = counted[0].rows, counted[0].counted


def _refused(connection: PgConnection, statement: Statement) -> list[_Refused]:
    if statement.tag == "AlterTableStmt" and statement.node.get("objtype") == "OBJECT_TABLE":
        return _in_a_savepoint(connection, lambda: _refused_by_alter(connection, statement))
    if statement.tag == "IndexStmt":
        return _in_a_savepoint(connection, lambda: _refused_by_index(connection, statement))
    return []


def _in_a_savepoint(connection: PgConnection, count: Any) -> list[_Refused]:
    """What a count finds; nothing when it cannot be made (a lock, a timeout, a column that the statement was to add)."""
    import psycopg2

    with taken_back(connection, "pgops_counted"):
        try:
            # Rows that row level security hides are an error here, not a smaller number.
            execute(connection, "set local row_security = off")
            found: list[_Refused] = list(count())
        except psycopg2.Error:
            if connection.closed:
                raise
            found = []
    return [refused for refused in found if refused.rows]


def _refused_by_alter(connection: PgConnection, statement: Statement) -> Iterator[_Refused]:
    """CHECK and FOREIGN KEY are added once more as NOT VALID, so that the catalog tells what exactly they ask for."""
    from pglast.enums import AlterTableType, ConstrType
    from pglast.stream import RawStream

    alter = _tree(statement)
    table = fetch_value(connection, "select %s::regclass::oid", [RawStream()(alter.relation)])
    for command in commands_of(statement.node):
        constraint = command.get("def", {}).get("Constraint", {})
        if command["subtype"] == "AT_SetNotNull":
            yield _nulls(connection, table, command["name"])
        elif command["subtype"] == "AT_ValidateConstraint":
            yield from _by_oid(connection, _constraints(connection, table, command["name"]))
        elif constraint.get("contype") in ("CONSTR_UNIQUE", "CONSTR_PRIMARY") and constraint.get("keys"):
            columns = strings(constraint["keys"])
            if constraint["contype"] == "CONSTR_PRIMARY":
                yield from (_nulls(connection, table, column) for column in columns)
            yield _duplicates(connection, table, constraint.get("conname"), [always_quoted(c) for c in columns], None)
    relaxed = [
        command
        for command in alter.cmds
        if command.subtype == AlterTableType.AT_AddConstraint
        and command.def_.contype in (ConstrType.CONSTR_CHECK, ConstrType.CONSTR_FOREIGN)
        and not command.def_.skip_validation
    ]
    if relaxed:
        for command in relaxed:
            command.def_.skip_validation, command.def_.initially_valid = True, False
        alter.cmds = tuple(relaxed)
        before = set(_constraints(connection, table, None))
        execute(connection, RawStream()(alter))
        yield from _by_oid(connection, [oid for oid in _constraints(connection, table, None) if oid not in before])


def _refused_by_index(connection: PgConnection, statement: Statement) -> Iterator[_Refused]:
    from pglast.stream import RawStream

    index = _tree(statement)
    if index.unique and not index.nulls_not_distinct:
        table = fetch_value(connection, "select %s::regclass::oid", [RawStream()(index.relation)])
        keys = [always_quoted(item.name) if item.name else f"({RawStream()(item.expr)})" for item in index.indexParams]
        where = RawStream()(index.whereClause) if index.whereClause else None
        yield _duplicates(connection, table, index.idxname, keys, where)


def _tree(statement: Statement) -> Any:
    """The statement's tree as objects that can be changed and written as SQL again."""
    from pglast import parse_sql

    (parsed,) = parse_sql(statement.sql)
    return parsed.stmt


def _by_name(connection: PgConnection, schema: str, constraint: str, table: str | None) -> Iterator[_Refused]:
    rows = fetch_all(
        connection,
        "select c.oid from pg_catalog.pg_constraint c join pg_catalog.pg_namespace n on n.oid = c.connamespace "
        "join pg_catalog.pg_class t on t.oid = c.conrelid join pg_catalog.pg_namespace s on s.oid = t.relnamespace "
        "where n.nspname = %s and c.conname = %s and (%s is null or s.nspname || '.' || t.relname = %s)",
        [schema, constraint, table, table],
    )
    yield from _by_oid(connection, [oid for (oid,) in rows])


def _constraints(connection: PgConnection, table: int, name: str | None) -> list[int]:
    rows = fetch_all(
        connection,
        "select oid from pg_catalog.pg_constraint where conrelid = %s and (%s is null or conname = %s) order by oid",
        [table, name, name],
    )
    return [int(oid) for (oid,) in rows]


def _by_oid(connection: PgConnection, constraints: Sequence[int]) -> Iterator[_Refused]:
    """Count what breaks constraints that the catalog knows."""
    columns = (
        "(select pg_catalog.array_agg(a.attname::text order by k.place) from pg_catalog.unnest(c.{}) with ordinality "
        "as k(number, place) join pg_catalog.pg_attribute a on a.attrelid = c.{} and a.attnum = k.number)"
    )
    for oid in constraints:
        ((kind, name, table, own, parent, theirs, match, check),) = fetch_all(
            connection,
            f"select c.contype::text, c.conname, c.conrelid, {columns.format('conkey', 'conrelid')}, c.confrelid, "
            f"{columns.format('confkey', 'confrelid')}, c.confmatchtype::text, "
            "pg_catalog.pg_get_expr(c.conbin, c.conrelid) from pg_catalog.pg_constraint c where c.oid = %s",
            [oid],
        )
        if kind == "c":
            query = violating_rows.against_check(_table(connection, table), check)
            yield _count(connection, CHECK, table, name, query, _COUNTED[CHECK])
        elif kind == "f":
            query = violating_rows.orphans(
                _table(connection, table), own, _table(connection, parent), theirs, match_full=match == "f"
            )
            counted = _COUNTED[FOREIGN_KEY].format(_readable(connection, parent))
            yield _count(connection, FOREIGN_KEY, table, name, query, counted)
        elif kind in ("u", "p"):
            yield _duplicates(connection, table, name, [always_quoted(column) for column in own], None)


def _nulls(connection: PgConnection, table: int, column: str) -> _Refused:
    query = violating_rows.nulls(_table(connection, table), [column])
    counted = _COUNTED[NOT_NULL].format(column)
    return _count(connection, NOT_NULL, table, f"not null of {column}", query, counted)


def _duplicates(
    connection: PgConnection, table: int, name: str | None, keys: Sequence[str], where: str | None
) -> _Refused:
    query = violating_rows.duplicates(_table(connection, table), keys, where=where)
    return _count(connection, UNIQUE, table, name, query, _COUNTED[UNIQUE])


def _count(connection: PgConnection, sqlstate: str, table: int, name: str | None, query: Any, counted: str) -> _Refused:
    from psycopg2 import sql

    rows = fetch_value(connection, sql.SQL("select coalesce(sum(n), 0) from ({}) against").format(query))
    return _Refused(sqlstate, _readable(connection, table), name, int(rows), counted)


def _table(connection: PgConnection, oid: int) -> Any:
    from psycopg2 import sql

    return sql.Identifier(*_schema_and_name(connection, oid))


def _readable(connection: PgConnection, oid: int) -> str:
    return ".".join(_schema_and_name(connection, oid))


def _schema_and_name(connection: PgConnection, oid: int) -> tuple[str, str]:
    ((schema, name),) = fetch_all(
        connection,
        "select n.nspname, c.relname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace "
        "where c.oid = %s",
        [oid],
    )
    return str(schema), str(name)


def _message(error: PgError) -> str:
    return message_without_values(error)


def _name(schema: str | None, name: str | None) -> str | None:
    return ".".join(part for part in (schema, name) if part) or None
