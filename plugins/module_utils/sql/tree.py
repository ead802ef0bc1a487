# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading PostgreSQL's parse trees: names of objects, types, and every node below one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Node

# An unqualified name lands in the first schema of Supabase's search_path, "$user", public, extensions, that exists.
DEFAULT_SCHEMA = "public"


@dataclass(frozen=True)
class DatabaseObject:
    """An object by what it is called; ``table`` is the one it is a part of. Overloads of a function are told apart
    by C(arguments) only where somebody asks."""

    kind: str
    schema: str
    name: str
    table: str = ""
    arguments: str | None = field(default=None, compare=False)

    def __str__(self) -> str:
        if self.kind in ("schema", "extension"):
            return f"{self.kind} {self.name}"
        if self.kind == "column":
            return f"column {self.schema}.{self.table}.{self.name}"
        if self.table:
            return f"{self.kind} {self.name} on {self.schema}.{self.table}"
        return f"{self.kind} {self.schema}.{self.name}"

    @property
    def owner(self) -> DatabaseObject | None:
        """The table that the object goes with when it is dropped."""
        return DatabaseObject("table", self.schema, self.table) if self.table else None


def relation(node: Node, kind: str = "table") -> DatabaseObject:
    """The relation of a RangeVar."""
    return DatabaseObject(kind, node.get("schemaname", DEFAULT_SCHEMA), node["relname"])


def type_text(node: Node) -> str:
    """A type by its name, as far as it takes to tell two of them apart."""
    name, _modifiers = type_of(node)
    return name + "[]" * len(node.get("arrayBounds", []))


def type_of(node: Node) -> tuple[str, tuple[int, ...]]:
    """A type's name, without pg_catalog, and its modifiers, as the 50 of varchar(50)."""
    names = [n for n in strings(node["names"]) if n != "pg_catalog"]
    modifiers = [
        item["A_Const"]["ival"].get("ival", 0) for item in node.get("typmods", []) if "ival" in item.get("A_Const", {})
    ]
    return ".".join(names), tuple(modifiers)


def commands_of(node: Node) -> list[Node]:
    """The commands of an ALTER TABLE."""
    return [item["AlterTableCmd"] for item in node.get("cmds", [])]


def is_temporary(node: Node) -> bool:
    """Whether a RangeVar is of a temporary relation."""
    return node.get("relpersistence") == "t"


def strings(items: list[Node]) -> tuple[str, ...]:
    """The strings of a list of nodes; what is no string is left out."""
    return tuple(item["String"]["sval"] for item in items if "String" in item)


def schema_and_name(items: list[Node]) -> tuple[str, str]:
    """A qualified name in its parts."""
    parts = strings(items)
    return (parts[-2] if len(parts) > 1 else DEFAULT_SCHEMA, parts[-1])


def named(kind: str, items: list[Node], arguments: str | None = None) -> DatabaseObject:
    """The object that a list of names means."""
    schema, name = schema_and_name(items)
    return DatabaseObject(kind, schema, name, arguments=arguments)


def part_of(kind: str, table: DatabaseObject, name: str) -> DatabaseObject:
    """A column, trigger or policy of a table."""
    return DatabaseObject(kind, table.schema, name, table.name)


def walk(node: Any) -> Iterator[Node]:
    """Every node of a tree, itself first; a tree may be deeper than the interpreter's limit of calls."""
    left = [node]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            yield item
            left.extend(reversed(item.values()))
        elif isinstance(item, list):
            left.extend(reversed(item))
