# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects of a catalog a migration makes or changes: from what a ledger recorded of it, else from its text. Pure.

Text only points: whether an object is there, and whether it is the same on both sides, is what the catalogs say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, cut
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.privileges import unquoted
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import unify_line_ends
from ansible_collections.pgops.supabase.plugins.module_utils.sql.effects import (
    created_by,
    dropped_by,
    row_security_enabled_by,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Statement, parse_script
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import DatabaseObject, relation

# What SQL calls by one word, or the text does not tell apart.
_SAME_WORD = {
    "procedure": "function",
    "aggregate": "function",
    "domain": "type",
    "foreign table": "table",
    "materialized view": "view",
}
_TOLD_CHANGE = re.compile(r"(?P<key>.+?) (?:created|changed|dropped)(?:: .*)?", re.DOTALL)
Identity = tuple[str, str, str, str]
"""Kind, schema, the table it is on, and its own name, without quotes and without a function's arguments."""


@dataclass(frozen=True)
class Effects:
    """What a migration does to the schema as far as it is known.

    :param made: objects that its text creates and leaves there, and that are an error where they are there already.
    :param touched: all objects that it names as made, dropped or altered.
    """

    made: frozenset[Identity] = frozenset()
    touched: frozenset[Identity] = frozenset()


def identity_of_key(key: str) -> Identity:
    """What a catalog's key names, as text names it."""
    parsed = CatalogKey.parse(key)
    kind = _SAME_WORD.get(parsed.kind, parsed.kind)
    name = cut(parsed.own_name, "(")[0]
    if parsed.on:
        schema, table = cut(parsed.on, ".")
        return kind, unquoted(schema), unquoted(table), unquoted(name)
    schema, rest = cut(name, ".")
    if not rest:
        return kind, "", "", unquoted(schema)
    return kind, unquoted(schema), "", unquoted(rest)


def identity_of(what: DatabaseObject) -> Identity:
    """What a statement names."""
    kind = _SAME_WORD.get(what.kind, what.kind)
    return kind, what.schema, what.table, what.name


def by_identity(keys: Iterable[str]) -> dict[Identity, list[str]]:
    """The keys of a catalog by what they name; functions of one name share an entry."""
    found: dict[Identity, list[str]] = {}
    for key in keys:
        found.setdefault(identity_of_key(key), []).append(key)
    return found


def effects_of_text(texts: Sequence[str]) -> Effects:
    """What the statements of a migration make and name; nothing where they do not parse."""
    try:
        statements = parse_script("migration", unify_line_ends("\n;\n".join(texts))).statements
    except SqlScriptError:
        return Effects()
    made: set[Identity] = set()
    touched: set[Identity] = set()
    for statement in statements:
        for dropped in dropped_by(statement):
            made.discard(identity_of(dropped.what))
            touched.add(identity_of(dropped.what))
        for created in created_by(statement):
            touched.add(identity_of(created.what))
            if not created.tolerant and not created.renamed:
                made.add(identity_of(created.what))
        touched |= set(_altered(statement))
    return Effects(frozenset(made), frozenset(touched))


def keys_of_effect(described: Sequence[str]) -> list[str]:
    """The keys of a catalog that a ledger says a migration changed (the sentences of describe_changes)."""
    found = []
    for sentence in described:
        match = _TOLD_CHANGE.fullmatch(sentence)
        if match is None:
            return []
        found.append(match["key"])
    return found


def the_same(keys: Iterable[str], one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether each of the objects is the same in both catalogs, or in neither."""
    return all(one.get(key) == other.get(key) for key in keys)


def _altered(statement: Statement) -> Iterable[Identity]:
    if (table := row_security_enabled_by(statement)) is not None:
        yield identity_of(table)
    if statement.tag in ("AlterTableStmt", "IndexStmt", "GrantStmt"):
        node = statement.node
        items = (
            [node["relation"]]
            if "relation" in node
            else [o["RangeVar"] for o in node.get("objects", []) if "RangeVar" in o]
        )
        yield from (identity_of(relation(item)) for item in items)
