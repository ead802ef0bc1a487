# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a SQL statement does to the schema, read off its parse tree: what it creates, drops, empties and uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import (
    Node,
    Script,
    Statement,
    sets_only_the_session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import (
    DEFAULT_SCHEMA,
    DatabaseObject,
    commands_of,
    is_temporary,
    named,
    part_of,
    relation,
    schema_and_name,
    strings,
    type_text,
    walk,
)

_DROPPED_KINDS = {
    "OBJECT_TABLE": "table",
    "OBJECT_FOREIGN_TABLE": "table",
    "OBJECT_VIEW": "view",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_INDEX": "index",
    "OBJECT_FUNCTION": "function",
    "OBJECT_PROCEDURE": "function",
    "OBJECT_ROUTINE": "function",
    "OBJECT_AGGREGATE": "function",
    "OBJECT_TYPE": "type",
    "OBJECT_DOMAIN": "type",
    "OBJECT_TRIGGER": "trigger",
    "OBJECT_POLICY": "policy",
    "OBJECT_SCHEMA": "schema",
    "OBJECT_COLUMN": "column",
}
_WRITERS = ("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CopyStmt")
PARTS_OF_A_TABLE = ("column", "trigger", "policy")


@dataclass(frozen=True)
class Created:
    """An object that a statement creates. ``tolerant``: it does not mind when there is one already."""

    what: DatabaseObject
    statement: Statement
    tolerant: bool = False
    renamed: bool = False
    on: DatabaseObject | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dropped:
    """An object that a statement drops. ``renamed``: nothing is lost, it is there under another name."""

    what: DatabaseObject
    statement: Statement
    tolerant: bool = False
    renamed: bool = False


def created_by(statement: Statement) -> Iterator[Created]:
    """The objects that a statement creates. What a DO block creates cannot be known before it runs."""
    node, tag = statement.node, statement.tag
    tolerant = bool(node.get("if_not_exists") or node.get("replace"))
    single: DatabaseObject | None = None
    if tag == "CreateStmt" and not is_temporary(node["relation"]):
        single = relation(node["relation"])
    elif tag == "CreateTableAsStmt" and not is_temporary(node["into"]["rel"]):
        kind = "materialized view" if node.get("objtype") == "OBJECT_MATVIEW" else "table"
        single = relation(node["into"]["rel"], kind)
    elif tag == "ViewStmt" and not is_temporary(node["view"]):
        single = relation(node["view"], "view")
    elif tag == "CreateSeqStmt" and not is_temporary(node["sequence"]):
        single = relation(node["sequence"], "sequence")
    elif tag == "CreateSchemaStmt" and node.get("schemaname"):
        single = DatabaseObject("schema", "", node["schemaname"])
    elif tag == "CreateFunctionStmt":
        types = [
            type_text(p["FunctionParameter"]["argType"])
            for p in node.get("parameters", [])
            if p["FunctionParameter"].get("mode") not in ("FUNC_PARAM_OUT", "FUNC_PARAM_TABLE")
        ]
        single = named("function", node["funcname"], ", ".join(types))
    elif tag in ("CreateEnumStmt", "CreateRangeStmt"):
        single = named("type", node["typeName"])
    elif tag == "CreateDomainStmt":
        single = named("type", node["domainname"])
    elif tag == "CompositeTypeStmt":
        single = relation(node["typevar"], "type")
    elif tag == "CreateTrigStmt":
        single = part_of("trigger", relation(node["relation"]), node["trigname"])
    elif tag == "CreatePolicyStmt":
        single = part_of("policy", relation(node["table"]), node["policy_name"])
    elif tag == "IndexStmt" and node.get("idxname"):
        table = relation(node["relation"])
        columns = tuple(p["IndexElem"]["name"] for p in node["indexParams"] if "name" in p["IndexElem"])
        index = DatabaseObject("index", table.schema, node["idxname"])
        yield Created(index, statement, tolerant, on=table, columns=columns)
    elif tag == "AlterTableStmt" and node.get("objtype") == "OBJECT_TABLE":
        table = relation(node["relation"])
        for command in commands_of(node):
            if command["subtype"] == "AT_AddColumn":
                column = part_of("column", table, command["def"]["ColumnDef"]["colname"])
                yield Created(column, statement, bool(command.get("missing_ok")))
    elif tag == "RenameStmt" and (old := _renamed(node)):
        new = DatabaseObject(old.kind, old.schema, node["newname"], old.table, old.arguments)
        yield Created(new, statement, renamed=True)
    if single:
        yield Created(single, statement, tolerant, on=single.owner)


def dropped_by(statement: Statement) -> Iterator[Dropped]:
    """The objects that a statement drops or renames."""
    node, tag = statement.node, statement.tag
    if tag == "DropStmt" and node["removeType"] in _DROPPED_KINDS:
        for item in node["objects"]:
            yield Dropped(
                _dropped_object(_DROPPED_KINDS[node["removeType"]], item), statement, bool(node.get("missing_ok"))
            )
    elif tag == "AlterTableStmt" and node.get("objtype") == "OBJECT_TABLE":
        table = relation(node["relation"])
        for command in commands_of(node):
            if command["subtype"] == "AT_DropColumn":
                yield Dropped(part_of("column", table, command["name"]), statement, bool(command.get("missing_ok")))
    elif tag == "RenameStmt" and (old := _renamed(node)):
        yield Dropped(old, statement, renamed=True)


def containers_dropped_by(statement: Statement) -> Iterator[DatabaseObject]:
    """Schemas, types and extensions that a statement drops; tables and columns may go with them."""
    kind = statement.node.get("removeType") if statement.tag == "DropStmt" else None
    if kind == "OBJECT_EXTENSION":
        yield from (DatabaseObject("extension", "", name) for name in strings(statement.node["objects"]))
    elif kind in ("OBJECT_SCHEMA", "OBJECT_TYPE", "OBJECT_DOMAIN"):
        yield from (dropped.what for dropped in dropped_by(statement))


def moved_by(statement: Statement) -> DatabaseObject | None:
    """The table that a statement moves to another schema."""
    if statement.tag == "AlterObjectSchemaStmt" and "relation" in statement.node:
        return relation(statement.node["relation"])
    return None


def drops_more_than_it_names(statement: Statement) -> bool:
    """Whether a statement may drop objects that it does not name: CASCADE, DROP OWNED."""
    return statement.tag == "DropOwnedStmt" or any(
        item.get("behavior") == "DROP_CASCADE" for item in (statement.node, *commands_of(statement.node))
    )


def adds_enum_value(script: Script) -> bool:
    """Whether a script has an ALTER TYPE ... ADD VALUE. What a DO block does cannot be known before it runs."""
    return any(s.tag == "AlterEnumStmt" and "oldVal" not in s.node for s in script.statements)


def emptied_by(statement: Statement) -> Iterator[tuple[DatabaseObject, bool]]:
    """The tables whose rows a statement deletes, each with whether all of them go."""
    if statement.tag == "TruncateStmt":
        for item in statement.node["relations"]:
            yield relation(item["RangeVar"]), True
    elif statement.tag == "DeleteStmt":
        yield relation(statement.node["relation"]), "whereClause" not in statement.node


def written_by(statement: Statement) -> DatabaseObject | None:
    """The table whose rows a statement inserts or changes."""
    if statement.tag in ("InsertStmt", "UpdateStmt", "MergeStmt", "CopyStmt") and "relation" in statement.node:
        return relation(statement.node["relation"])
    return None


def may_write_rows(statement: Statement) -> bool:
    """Whether a statement may change rows of whatever table: by itself, by a trigger, or in a function that it calls.

    What a definition (of a view, a default, a function) says does not run with it.
    """
    if statement.tag in ("DoStmt", "CallStmt", "ExecuteStmt", "TruncateStmt"):
        return True
    nodes = list(walk(statement.node))
    if statement.tag in _WRITERS or any(tag in node for tag in _WRITERS for node in nodes):
        return statement.tag not in ("CreateFunctionStmt", "RuleStmt", "PrepareStmt")
    if statement.tag in ("SelectStmt", "CreateTableAsStmt", "RefreshMatViewStmt"):
        return any("funcname" in node for node in nodes) and not sets_only_the_session(statement)
    return statement.tag == "AlterTableStmt" and any(
        command["subtype"] == "AT_AlterColumnType" and "raw_default" in command["def"]["ColumnDef"]
        for command in commands_of(statement.node)
    )


def row_security_enabled_by(statement: Statement) -> DatabaseObject | None:
    """The table that the statement puts under row level security."""
    if statement.tag == "AlterTableStmt" and any(
        command["subtype"] == "AT_EnableRowSecurity" for command in commands_of(statement.node)
    ):
        return relation(statement.node["relation"])
    return None


def relations_used(statement: Statement) -> set[tuple[str, str]]:
    """Schema and name of every relation that a statement names. The bodies of functions and DO blocks are text to it."""
    own_names = {item["ctename"] for item in walk(statement.node) if "ctename" in item}
    return {
        (item.get("schemaname", DEFAULT_SCHEMA), item["relname"])
        for item in walk(statement.node)
        if "relname" in item and ("schemaname" in item or item["relname"] not in own_names)
    }


def functions_used(statement: Statement) -> set[tuple[str, str, int]]:
    """Schema, name and number of arguments of every function that a statement calls or hangs on a trigger."""
    if statement.tag == "CreateFunctionStmt":
        return set()
    if statement.tag == "CreateTrigStmt":
        # What stands in its parentheses is text for the trigger; the function itself takes none.
        return {(*schema_and_name(statement.node["funcname"]), 0)}
    return {
        (*schema_and_name(item["funcname"]), len(item.get("args", [])))
        for item in walk(statement.node)
        if "funcname" in item
    }


def options_of(statement: Statement) -> dict[str, list[Node]]:
    """The options of CREATE FUNCTION or ALTER FUNCTION by name."""
    found: dict[str, list[Node]] = {}
    for item in statement.node.get("options", []) + statement.node.get("actions", []):
        element = item["DefElem"]
        found.setdefault(element["defname"], []).append(element.get("arg", {}))
    return found


def function_altered_by(statement: Statement) -> DatabaseObject | None:
    """The function that an ALTER FUNCTION changes."""
    return named("function", statement.node["func"]["objname"]) if statement.tag == "AlterFunctionStmt" else None


def _dropped_object(kind: str, item: Node) -> DatabaseObject:
    if kind == "schema":
        return DatabaseObject("schema", "", item["String"]["sval"])
    if "ObjectWithArgs" in item:
        function = item["ObjectWithArgs"]
        types = [type_text(t["TypeName"]) for t in function.get("objargs", []) if "TypeName" in t]
        return named(kind, function["objname"], None if function.get("args_unspecified") else ", ".join(types))
    names = item["List"]["items"] if "List" in item else item["TypeName"]["names"]
    if kind in PARTS_OF_A_TABLE:
        schema, table = schema_and_name(names[:-1])
        return DatabaseObject(kind, schema, names[-1]["String"]["sval"], table)
    return named(kind, names)


def _renamed(node: Node) -> DatabaseObject | None:
    kind = _DROPPED_KINDS.get(node["renameType"])
    if kind is None:
        return None
    if kind in PARTS_OF_A_TABLE:
        return part_of(kind, relation(node["relation"]), node["subname"])
    if "relation" in node:
        return relation(node["relation"], kind)
    if kind == "schema":
        return DatabaseObject("schema", "", node["subname"])
    return _dropped_object(kind, node["object"])
