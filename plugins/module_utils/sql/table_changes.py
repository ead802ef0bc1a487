# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a SQL statement does to a table that exists: what may need a lock, a scan, a rewrite, or rows that obey."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Node, Statement
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import (
    DatabaseObject,
    commands_of,
    relation,
    strings,
    type_of,
    walk,
)

ChangeAction = Literal[
    "add_column",
    "alter_type",
    "set_not_null",
    "check",
    "foreign_key",
    "unique",
    "primary_key",
    "exclusion",
    "validate",
    "index",
]

_NEW_CONSTRAINTS: dict[str, ChangeAction] = {
    "CONSTR_CHECK": "check",
    "CONSTR_FOREIGN": "foreign_key",
    "CONSTR_UNIQUE": "unique",
    "CONSTR_PRIMARY": "primary_key",
    "CONSTR_EXCLUSION": "exclusion",
}
_SERIAL_TYPES = frozenset({"smallserial", "serial", "bigserial", "serial2", "serial4", "serial8"})


@dataclass(frozen=True)
class TableChange:
    """What a statement does to one existing table that may need a scan, a rewrite or rows that obey.

    :param command: which of the statement's commands it is; with it the tree of its expression is found again.
    :param functions: the functions that a new column's default calls.
    :param computed: a new column is filled row by row: identity, serial or stored generated.
    """

    action: ChangeAction
    table: DatabaseObject
    statement: Statement
    command: int = 0
    name: str = ""
    columns: tuple[str, ...] = ()
    referenced: DatabaseObject | None = None
    referenced_columns: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    type_name: str = ""
    type_modifiers: tuple[int, ...] = ()
    not_null: bool = False
    has_default: bool = False
    computed: bool = False
    converts: bool = False
    not_valid: bool = False
    concurrently: bool = False
    unique: bool = False
    using_index: bool = False
    nulls_equal: bool = False
    has_expression: bool = False


def table_changes(statement: Statement) -> Iterator[TableChange]:
    """What a statement does to an existing table beyond its description in the catalog."""
    node, tag = statement.node, statement.tag
    if tag == "IndexStmt":
        elements = [p["IndexElem"] for p in node["indexParams"]]
        yield TableChange(
            "index",
            relation(node["relation"]),
            statement,
            name=node.get("idxname", ""),
            columns=tuple(e["name"] for e in elements if "name" in e),
            concurrently=bool(node.get("concurrent")),
            unique=bool(node.get("unique")),
            nulls_equal=bool(node.get("nulls_not_distinct")),
            has_expression="whereClause" in node or any("expr" in e for e in elements),
        )
    if tag != "AlterTableStmt" or node.get("objtype") != "OBJECT_TABLE":
        return
    table = relation(node["relation"])
    for number, command in enumerate(commands_of(node)):
        change = _table_change(statement, table, number, command)
        if change:
            yield change


def _table_change(statement: Statement, table: DatabaseObject, number: int, command: Node) -> TableChange | None:
    subtype, name = command["subtype"], command.get("name", "")
    if subtype == "AT_AddColumn":
        return _added_column(statement, table, number, command["def"]["ColumnDef"])
    if subtype == "AT_AlterColumnType":
        definition = command["def"]["ColumnDef"]
        type_name, modifiers = type_of(definition["typeName"])
        return TableChange(
            "alter_type",
            table,
            statement,
            number,
            columns=(name,),
            type_name=type_name,
            type_modifiers=modifiers,
            converts="raw_default" in definition,
        )
    if subtype == "AT_SetNotNull":
        return TableChange("set_not_null", table, statement, number, columns=(name,))
    if subtype == "AT_ValidateConstraint":
        return TableChange("validate", table, statement, number, name=name)
    if subtype == "AT_AddConstraint":
        constraint = command["def"]["Constraint"]
        action = _NEW_CONSTRAINTS.get(constraint["contype"])
        if action:
            return _added_constraint(action, statement, table, number, constraint)
    return None


def _added_constraint(
    action: ChangeAction, statement: Statement, table: DatabaseObject, number: int, constraint: Node
) -> TableChange:
    foreign = action == "foreign_key"
    columns = strings(constraint.get("fk_attrs" if foreign else "keys", []))
    if action == "check":
        columns = tuple(dict.fromkeys(_column_references(constraint["raw_expr"])))
    return TableChange(
        action,
        table,
        statement,
        number,
        name=constraint.get("conname", ""),
        columns=columns,
        referenced=relation(constraint["pktable"]) if foreign else None,
        referenced_columns=strings(constraint.get("pk_attrs", [])),
        not_valid=bool(constraint.get("skip_validation")),
        using_index="indexname" in constraint,
        nulls_equal=bool(constraint.get("nulls_not_distinct")),
    )


def _added_column(statement: Statement, table: DatabaseObject, number: int, definition: Node) -> TableChange:
    constraints = {c["Constraint"]["contype"]: c["Constraint"] for c in definition.get("constraints", [])}
    type_name, modifiers = type_of(definition["typeName"])
    default = constraints.get("CONSTR_DEFAULT")
    stored = constraints.get("CONSTR_GENERATED", {}).get("generated_kind", "") == "s"
    return TableChange(
        "add_column",
        table,
        statement,
        number,
        columns=(definition["colname"],),
        functions=tuple(dict.fromkeys(_functions_called(default))) if default else (),
        type_name=type_name,
        type_modifiers=modifiers,
        not_null="CONSTR_NOTNULL" in constraints or "CONSTR_PRIMARY" in constraints,
        has_default=default is not None or "CONSTR_GENERATED" in constraints,
        computed="CONSTR_IDENTITY" in constraints or stored or type_name in _SERIAL_TYPES,
    )


def tests_not_null(statement: Statement, command: int) -> str | None:
    """The column of which a new CHECK says no more than that it is not null."""
    raw = commands_of(statement.node)[command]["def"]["Constraint"].get("raw_expr", {}).get("NullTest", {})
    fields = raw.get("arg", {}).get("ColumnRef", {}).get("fields", [])
    return str(fields[0]["String"]["sval"]) if raw.get("nulltesttype") == "IS_NOT_NULL" and len(fields) == 1 else None


def _column_references(node: Any) -> Iterator[str]:
    for item in walk(node):
        if "ColumnRef" in item:
            names = strings(item["ColumnRef"]["fields"])
            if names:
                yield names[-1]


def _functions_called(node: Any) -> Iterator[str]:
    for item in walk(node):
        if "FuncCall" in item:
            yield strings(item["FuncCall"]["funcname"])[-1]


def expression_text(change: TableChange) -> str:
    """The expression of a new CHECK as SQL, written anew from its tree, so without comments."""
    from pglast import parse_sql
    from pglast.stream import RawStream

    altered: Any = parse_sql(change.statement.sql)[0].stmt
    return str(RawStream()(altered.cmds[change.command].def_.raw_expr))
