# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL that drops one object of a catalog, and the SQL that makes it as the catalog describes it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.ddl import (
    comment_statement,
    owner_statement,
    policy_statement,
    switch_statement,
    word_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, column_of, cut, relation_of
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.grants import (
    ForeignGrant,
    column_grant_changes,
    default_privileges_changes,
    grantees,
    grants_of_a_new_object,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.names import ROUTINES, text_of
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.parts import CatalogWithParts
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import literal, quoted

Definition = Mapping[str, Any]
Maker = Callable[[str, CatalogWithParts], list[str]]

_WITH_DATA = {
    "table": "its rows are gone with it, and only a backup has them",
    "foreign table": "its server and columns are not described well enough to make it again",
    "column": "its values are gone with it, and only a backup has them",
    "sequence": "where it stood is gone with it",
    "extension": "what it kept in its own tables is gone with it",
    "aggregate": "the catalog does not hold its CREATE statement",
    "operator": "the catalog does not hold its CREATE statement",
    "collation": "the catalog does not hold its CREATE statement",
}
_GRANT_WORD = {
    "table": "table",
    "foreign table": "table",
    "view": "table",
    "materialized view": "table",
    "sequence": "sequence",
    "function": "function",
    "procedure": "procedure",
    "aggregate": "routine",
    "type": "type",
    "domain": "type",
    "schema": "schema",
}
_DEFAULTS_OF = {
    "table": "tables",
    "sequence": "sequences",
    "aggregate": "functions",
    "view": "tables",
    "materialized view": "tables",
    "function": "functions",
    "procedure": "functions",
    "type": "types",
    "domain": "types",
    "schema": "schemas",
}


class NotMechanical(Exception):
    """An object that cannot be brought back from what a catalog says; the reason as the rest of a sentence."""


def relation_word(relation: str, catalog: CatalogWithParts) -> str:
    """What ALTER calls a relation: C(table public.orders), C(type public.point)."""
    for kind in ("table", "foreign table", "view", "materialized view", "type", "domain"):
        if f"{kind} {relation}" in catalog:
            return f"{kind} {relation}"
    # A table of the platform, of which only policies and triggers are known.
    return f"table {relation}"


def grant_target(key: str) -> str | None:
    """What stands between ON and TO in a GRANT; None for what has no access list."""
    object_type, name = CatalogKey.parse(key)
    word = _GRANT_WORD.get(object_type)
    return f"{word} {name}" if word else None


def drop_statements(key: str, catalog: CatalogWithParts) -> list[str]:
    """What drops the object, with nothing else."""
    object_type, name = CatalogKey.parse(key)
    if object_type == "column":
        relation = relation_word(relation_of(name), catalog)
        part = "attribute" if relation.startswith("type ") else "column"
        return [f"alter {relation} drop {part} {column_of(name)};"]
    if object_type == "constraint":
        constraint, relation = cut(name, " on ")
        return [f"alter {relation_word(relation, catalog)} drop constraint {constraint};"]
    if object_type == "default privileges":
        return default_privileges_changes(key, catalog[key]["privileges"], None)
    return [f"drop {word_of(key)};"]


def create_statements(key: str, catalog: CatalogWithParts, more: Mapping[str, Maker] | None = None) -> list[str]:
    """What makes the object as the catalog describes it, with its owner, privileges and comment.

    :param more: what makes objects of other types, beside or instead of those that can be made again as they were.
    :raises NotMechanical: when it held data, or when a catalog does not hold enough of it.
    """
    object_type, _name = CatalogKey.parse(key)
    maker = (more or {}).get(object_type) or _MAKERS.get(object_type)
    if maker is None:
        raise NotMechanical(_WITH_DATA[object_type])
    return [*maker(key, catalog), *finish_statements(key, catalog)]


def options_list(options: list[str]) -> str:
    """Storage parameters as SQL, from C(name=value) texts."""
    pairs = (option.partition("=") for option in options)
    return ", ".join(f"{name} = {literal(value)}" for name, _equals, value in pairs)


def published_table(name: str, told: Definition) -> str:
    """One table of a publication as SQL."""
    columns = f" ({', '.join(map(quoted, told['columns']))})" if told.get("columns") else ""
    return f"table {name}{columns}" + (f" where ({told['where']})" if told.get("where") else "")


def publish_options(definition: Definition) -> str:
    """What a publication publishes, as SQL."""
    commands = ", ".join(c for c in ("insert", "update", "delete", "truncate") if definition[c])
    via_root = str(definition["via root"]).lower()
    return f"(publish = {literal(commands)}, publish_via_partition_root = {via_root})"


def finish_statements(key: str, catalog: CatalogWithParts) -> list[str]:
    """What gives an object that was just made its owner, privileges, switches and comment.

    :raises NotMechanical: when somebody else than the owner granted something.
    """
    object_type, name = CatalogKey.parse(key)
    definition, statements = catalog[key], []
    if "owner" in definition and object_type != "schema":
        statements.append(owner_statement(key, definition["owner"]))
    target = grant_target(key)
    try:
        if target:
            granted = _granted_by_default(object_type, catalog)
            statements += grants_of_a_new_object(target, definition["privileges"], definition["owner"], granted)
        if object_type in ("view", "materialized view"):
            statements += _view_columns(name, definition, catalog)
    except ForeignGrant as item:
        raise NotMechanical(f"somebody else than its owner granted {item}") from item
    if definition.get("enabled", "origin") != "origin":
        statements.append(switch_statement(key, definition))
    if "statistics target" in definition:
        statements.append(f"alter statistics {name} set statistics {definition['statistics target']};")
    for number, target_value in definition.get("statistics targets", {}).items():
        statements.append(f"alter index {name} alter column {number} set statistics {target_value};")
    if "comment" in definition:
        statements.append(comment_statement(key, definition["comment"], catalog))
    return statements


def _view_columns(view: str, definition: Definition, catalog: CatalogWithParts) -> list[str]:
    statements = []
    for key, name, column in catalog.columns(view):
        if "default" in column:
            statements.append(f"alter view {view} alter column {name} set default {column['default']};")
        statements += column_grant_changes(view, name, None, column.get("privileges"), definition["owner"])
        if "comment" in column:
            statements.append(comment_statement(key, column["comment"], catalog))
    return statements


def _granted_by_default(object_type: str, catalog: CatalogWithParts) -> set[str]:
    """The roles to which default privileges may give something on a new object of the type."""
    kind = _DEFAULTS_OF.get(object_type, "none")
    roles: set[str] = set()
    for key in catalog.of_kind.get("default privileges", ()):
        if f" for {kind}" in key:
            roles |= grantees(catalog[key]["privileges"])
    return roles


def _schema(key: str, catalog: CatalogWithParts) -> list[str]:
    return [f"create schema {CatalogKey.parse(key).name} authorization {quoted(catalog[key]['owner'])};"]


def _view(key: str, catalog: CatalogWithParts) -> list[str]:
    object_type, name = CatalogKey.parse(key)
    definition = catalog[key]
    if object_type == "materialized view" and "tablespace" in definition:
        raise NotMechanical("it is in a tablespace of its own")
    options = f" with ({options_list(definition['options'])})" if "options" in definition else ""
    method = f" using {definition['access method']}" if "access method" in definition else ""
    query = definition["definition"].strip().removesuffix(";")
    data = "" if definition.get("populated", True) else " with no data"
    return [f"create {object_type} {name}{method}{options} as\n{query}{data};"]


def _type(key: str, catalog: CatalogWithParts) -> list[str]:
    _object_type, name = CatalogKey.parse(key)
    definition = catalog[key]
    if definition["kind"] == "enum":
        return [f"create type {name} as enum ({', '.join(map(literal, definition.get('labels') or []))});"]
    if definition["kind"] != "composite":
        raise NotMechanical("a range or base type is not described well enough to make it again")
    columns = sorted(catalog.columns(name), key=lambda column: column[2]["position"])
    parts = (
        f"{column} {told['type']}" + (f" collate {told['collation']}" if "collation" in told else "")
        for _key, column, told in columns
    )
    return [f"create type {name} as ({', '.join(parts)});"]


def _domain(key: str, catalog: CatalogWithParts) -> list[str]:
    definition = catalog[key]
    if definition["not null"]:
        # On PostgreSQL 17 and later it is a constraint with a name; a later ALTER DOMAIN would give it another.
        not_null = " not null"
    else:
        not_null = ""
    default = f" default {definition['default']}" if "default" in definition else ""
    return [f"create domain {CatalogKey.parse(key).name} as {definition['base type']}{default}{not_null};"]


def _constraint(key: str, catalog: CatalogWithParts) -> list[str]:
    constraint, relation = cut(CatalogKey.parse(key).name, " on ")
    definition = catalog[key]
    if "enforcing triggers" in definition:
        raise NotMechanical("the triggers that enforce it were switched off one by one")
    return [
        f"alter {relation_word(relation, catalog)} add constraint {constraint} {definition['definition']};",
    ]


def _definition(key: str, catalog: CatalogWithParts) -> list[str]:
    return [catalog[key]["definition"].strip().removesuffix(";") + ";"]


def _index(key: str, catalog: CatalogWithParts) -> list[str]:
    definition = catalog[key]
    if not definition["valid"]:
        raise NotMechanical("it was INVALID, and an index that is made now is not")
    if "parent" in definition or "tablespace" in definition:
        raise NotMechanical("it is a part of a partitioned index, or in a tablespace of its own")
    return _definition(key, catalog)


def _policy(key: str, catalog: CatalogWithParts) -> list[str]:
    return [policy_statement(key, catalog[key])]


def _default_privileges(key: str, catalog: CatalogWithParts) -> list[str]:
    return default_privileges_changes(key, None, catalog[key]["privileges"])


def _publication(key: str, catalog: CatalogWithParts) -> list[str]:
    definition = catalog[key]
    parts = [published_table(name, told) for name, told in (definition.get("tables") or {}).items()]
    parts += [f"tables in schema {schema}" for schema in definition.get("schemas") or []]
    what = " for all tables" if definition["all tables"] else f" for {', '.join(parts)}" if parts else ""
    return [f"create publication {CatalogKey.parse(key).name}{what} with {publish_options(definition)};"]


def _event_trigger(key: str, catalog: CatalogWithParts) -> list[str]:
    definition = catalog[key]
    tags = f" when tag in ({', '.join(map(literal, definition['tags']))})" if definition.get("tags") else ""
    name = CatalogKey.parse(key).name
    return [f"create event trigger {name} on {definition['event']}{tags} execute function {definition['function']};"]


_MAKERS: Mapping[str, Maker] = {
    "schema": _schema,
    "view": _view,
    "materialized view": _view,
    "type": _type,
    "domain": _domain,
    "constraint": _constraint,
    "index": _index,
    "function": _definition,
    "procedure": _definition,
    "trigger": _definition,
    "rule": _definition,
    "statistics": _definition,
    "policy": _policy,
    "default privileges": _default_privileges,
    "publication": _publication,
    "event trigger": _event_trigger,
}


def node_text(key: str, catalog: CatalogWithParts) -> str:
    """What the object says, together with what belongs to it and goes with it."""
    object_type, name = CatalogKey.parse(key)
    texts = [text_of(catalog[key])]
    if object_type not in ROUTINES:
        texts += [f"{child} {text_of(catalog[child])}" for child in catalog.parts.get(name, ())]
    return "\n".join(texts)
