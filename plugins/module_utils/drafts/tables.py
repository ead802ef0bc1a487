# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL that makes, without any rows, what holds data: tables, columns, sequences; and what only a whole project brings. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.ddl import comment_statement
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, column_of, cut, relation_of
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.grants import column_grant_changes
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.objects import (
    NotMechanical,
    finish_statements,
    options_list,
    relation_word,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.parts import CatalogWithParts
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import literal

Definition = Mapping[str, Any]

_NOT_MADE = {
    "of type": "it is a table of a type",
    "tablespace": "it is in a tablespace of its own",
    "server": "the catalog does not hold its server",
}
_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}


def table_statements(key: str, catalog: CatalogWithParts) -> list[str]:
    """CREATE TABLE with its columns, and what belongs to it and to no other object of the catalog.

    :raises NotMechanical: when the catalog does not hold enough of it.
    """
    name, told = CatalogKey.parse(key).name, catalog[key]
    for attribute, reason in _NOT_MADE.items():
        if attribute in told:
            raise NotMechanical(reason)
    columns = sorted(catalog.columns(name), key=lambda column: int(column[2]["position"]))
    parents = told.get("inherits") or []
    own = [
        f"    {column} {clause(k, definition, catalog)}"
        for k, column, definition in columns
        if not _has(k, parents, catalog)
    ]
    unlogged = "unlogged " if told["persistence"] == "unlogged" else ""
    if "partition bound" in told:
        head = f"create {unlogged}table {name} partition of {parents[0]} {told['partition bound']}"
    else:
        head = f"create {unlogged}table {name} (\n" + ",\n".join(own) + "\n)"
        head += f" inherits ({', '.join(parents)})" if parents else ""
    head += f" partition by {told['partition key']}" if "partition key" in told else ""
    method = told.get("access method")
    head += f" using {method}" if method and method != "heap" else ""
    options = [*(told.get("options") or []), *(f"toast.{option}" for option in told.get("toast options") or [])]
    head += f" with ({options_list(options)})" if options else ""
    statements = [f"{head};"]
    for k, column, definition in columns:
        statements += _of_inherited_column(k, column, definition, name, parents, catalog)
        statements += identity_details(k, catalog)
        statements += column_details(k, column, definition, name, catalog)
    if told["row security"]:
        statements.append(f"alter table {name} enable row level security;")
    if told["row security forced"]:
        statements.append(f"alter table {name} force row level security;")
    if told["replica identity"] in ("full", "nothing"):
        statements.append(f"alter table {name} replica identity {told['replica identity']};")
    return statements


def clause(key: str, told: Definition, catalog: CatalogWithParts, *, nullable: bool = False) -> str:
    """What stands behind a column's name where it is made.

    :param nullable: whether NOT NULL is left to a statement of its own.
    """
    text = str(told["type"])
    text += f" collate {told['collation']}" if "collation" in told else ""
    text += f" default {told['default']}" if "default" in told else ""
    if "generated" in told:
        expression, _space, kind = told["generated"].rpartition(" ")
        text += f" generated always as ({expression}) {kind}"
    if "identity" in told:
        sequence = identity_sequence(key, catalog)
        options = (
            f" (sequence name {CatalogKey.parse(sequence).name} {counting(catalog[sequence])})" if sequence else ""
        )
        text += f" generated {told['identity']} as identity{options}"
    return text + (" not null" if told["not null"] and not nullable else "")


def identity_sequence(key: str, catalog: CatalogWithParts) -> str | None:
    """The key of the sequence of an identity column."""
    column = CatalogKey.parse(key).name
    if "identity" not in catalog[key]:
        return None
    parts = catalog.parts.get(relation_of(column), ())
    return next((k for k in parts if k.startswith("sequence ") and catalog[k].get("owned by") == column), None)


def identity_details(key: str, catalog: CatalogWithParts) -> list[str]:
    """What gives the sequence of an identity column its privileges and comment."""
    sequence = identity_sequence(key, catalog)
    statements = finish_statements(sequence, catalog) if sequence else []
    # Its owner is its table's.
    return [statement for statement in statements if " owner to " not in statement]


def column_statements(key: str, catalog: CatalogWithParts, *, nullable: bool = False) -> list[str]:
    """ALTER TABLE ... ADD COLUMN, or ADD ATTRIBUTE, and what belongs to the column."""
    name = CatalogKey.parse(key).name
    relation, column, told = relation_of(name), column_of(name), catalog[key]
    word = relation_word(relation, catalog)
    if word.startswith("type "):
        collation = f" collate {told['collation']}" if "collation" in told else ""
        return [f"alter {word} add attribute {column} {told['type']}{collation};"]
    return [
        f"alter {word} add column {column} {clause(key, told, catalog, nullable=nullable)};",
        *identity_details(key, catalog),
        *column_details(key, column, told, relation, catalog),
        *column_grant_changes(relation, column, None, told.get("privileges"), catalog.get(word, {}).get("owner", "")),
    ]


def column_details(key: str, column: str, told: Definition, relation: str, catalog: CatalogWithParts) -> list[str]:
    """What ADD COLUMN has no words for."""
    statements = [
        f"alter table {relation} alter column {column} set {word} {told[attribute]};"
        for attribute, word in (
            ("storage", "storage"),
            ("compression", "compression"),
            ("statistics target", "statistics"),
        )
        if attribute in told
    ]
    if "options" in told:
        statements.append(f"alter table {relation} alter column {column} set ({options_list(told['options'])});")
    if "comment" in told:
        statements.append(comment_statement(key, told["comment"], catalog))
    return statements


def column_grants(relation: str, catalog: CatalogWithParts) -> list[str]:
    """The privileges of a table's columns, for after those of the table: what is revoked on that is revoked on them too."""
    owner = catalog.get(f"table {relation}", {}).get("owner", "")
    return [
        statement
        for _key, column, told in catalog.columns(relation)
        for statement in column_grant_changes(relation, column, None, told.get("privileges"), owner)
    ]


def _of_inherited_column(
    key: str, column: str, told: Definition, table: str, parents: list[str], catalog: CatalogWithParts
) -> list[str]:
    """What a child's column has beyond its parent's, which it was made with."""
    parent = _has(key, parents, catalog)
    if not parent:
        return []
    alter, statements = f"alter table {table} alter column {column}", []
    if told.get("default") != parent.get("default"):
        statements.append(f"{alter} set default {told['default']};" if "default" in told else f"{alter} drop default;")
    if told["not null"] and not parent["not null"]:
        statements.append(f"{alter} set not null;")
    return statements


def _has(key: str, parents: list[str], catalog: CatalogWithParts) -> Definition:
    """The same column of a parent; nothing where no parent has it."""
    column = column_of(CatalogKey.parse(key).name)
    return next((catalog[k] for parent in parents if (k := f"column {parent}.{column}") in catalog), {})


def sequence_statements(key: str, catalog: CatalogWithParts) -> list[str]:
    """CREATE SEQUENCE from its start; who owns it is a statement of its own, because it names a column."""
    name, told = CatalogKey.parse(key).name, catalog[key]
    unlogged = "unlogged " if told["persistence"] == "unlogged" and "owned by" not in told else ""
    return [
        f"create {unlogged}sequence {name} as {told['type']} {counting(told)};",
    ]


def counting(told: Definition) -> str:
    """The options of CREATE SEQUENCE but for its type."""
    return (
        f"increment by {told['increment']} minvalue {told['minimum']} maxvalue {told['maximum']} "
        f"start with {told['start']} cache {told['cache']} {'' if told['cycle'] else 'no '}cycle"
    )


def extension_statements(key: str, catalog: CatalogWithParts) -> list[str]:
    """CREATE EXTENSION in the version that the server has: which one that is is the platform's to decide."""
    name, told = CatalogKey.parse(key).name, catalog[key]
    return [f"create extension {name}{'' if told['schema'] == 'pg_catalog' else ' with schema ' + told['schema']};"]


def aggregate_statements(key: str, catalog: CatalogWithParts) -> list[str]:
    """CREATE AGGREGATE; PostgreSQL, "pg_aggregate".

    :raises NotMechanical: for ordered-set, hypothetical-set and moving aggregates.
    """
    name, told = CatalogKey.parse(key).name, catalog[key]["aggregate"]
    if told["kind"] != "n" or "moving transition" in told and told["moving transition"] != "-":
        raise NotMechanical("the catalog does not hold its CREATE statement")
    parts = [f"sfunc = {told['transition']}", f"stype = {told['state']}"]
    parts += [f"sspace = {told['space']}"] if told.get("space") else []
    names = {"final": "finalfunc", "combine": "combinefunc", "serialize": "serialfunc", "deserialize": "deserialfunc"}
    parts += [f"{word} = {cut(told[attribute], '(')[0]}" for attribute, word in names.items() if attribute in told]
    parts += ["finalfunc_extra"] if told.get("final extra") else []
    modify = {"r": "read_only", "s": "shareable", "w": "read_write"}[told["final modify"]]
    parts += [f"finalfunc_modify = {modify}"] if "final" in told else []
    parts += [f"initcond = {literal(told['initial'])}"] if "initial" in told else []
    parts += [f"parallel = {({'s': 'safe', 'r': 'restricted', 'u': 'unsafe'})[told['parallel']]}"]
    return [f"create aggregate {cut(name, '(')[0]}({told['arguments'] or '*'}) ({', '.join(parts)});"]


def operator_statements(key: str, catalog: CatalogWithParts) -> list[str]:
    """CREATE OPERATOR with the arguments that its name ends with."""
    name, told = CatalogKey.parse(key).name, catalog[key]
    own, _bracket, rest = name.rpartition("(")
    left, right = (part.strip() for part in rest.removesuffix(")").split(",", 1))
    schema, symbol = cut(own, ".")
    parts = [f"function = {cut(told['function'], '(')[0]}"]
    parts += [f"{word} = {kind}" for word, kind in (("leftarg", left), ("rightarg", right)) if kind.lower() != "none"]
    for attribute in ("commutator", "negator"):
        if attribute in told:
            of_schema, of_symbol = cut(told[attribute].rpartition("(")[0], ".")
            parts.append(f"{attribute} = operator({of_schema}.{of_symbol})")
    parts += [f"{word} = {cut(told[word], '(')[0]}" for word in ("restrict", "join") if word in told]
    parts += [word for word in ("hashes", "merges") if told[word]]
    return [f"create operator {schema}.{symbol} ({', '.join(parts)});"]


def collation_statements(key: str, catalog: CatalogWithParts) -> list[str]:
    """CREATE COLLATION from its row in pg_collation, whose columns differ by version."""
    name, told = CatalogKey.parse(key).name, catalog[key]
    provider = _PROVIDERS.get(told["collprovider"])
    if provider is None:
        raise NotMechanical("the catalog does not hold its CREATE statement")
    parts = [f"provider = {provider}"]
    locale = told.get("colllocale", told.get("colliculocale"))
    if provider == "libc":
        parts += [f"lc_collate = {literal(told['collcollate'])}", f"lc_ctype = {literal(told['collctype'])}"]
    else:
        parts += [f"locale = {literal(str(locale))}", f"deterministic = {str(told['collisdeterministic']).lower()}"]
        parts += [f"rules = {literal(told['collicurules'])}"] if told.get("collicurules") else []
    return [f"create collation {name} ({', '.join(parts)});"]


def range_statements(key: str, catalog: CatalogWithParts) -> list[str]:
    """CREATE TYPE ... AS RANGE.

    :raises NotMechanical: for a base type, which has C functions, and for a range with a function of its own type.
    """
    name, told = CatalogKey.parse(key).name, catalog[key]
    of = told.get("subtype")
    if told["kind"] != "range" or of is None or "canonical" in of:
        raise NotMechanical("a base type, or a range with a canonical function, cannot be made from a catalog")
    parts = [f"subtype = {of['type']}", f"subtype_opclass = {of['operator class']}"]
    parts += [f"collation = {of['collation']}"] if "collation" in of else []
    parts += [f"subtype_diff = {cut(of['difference'], '(')[0]}"] if "difference" in of else []
    parts.append(f"multirange_type_name = {of['multirange']}")
    return [f"create type {name} as range ({', '.join(parts)});"]


EMPTY_MAKERS: Mapping[str, Callable[[str, CatalogWithParts], list[str]]] = {
    "table": table_statements,
    "column": column_statements,
    "sequence": sequence_statements,
    "extension": extension_statements,
    "aggregate": aggregate_statements,
    "operator": operator_statements,
    "collation": collation_statements,
}
"""What makes an object of a type as new, without what an object of that type may have held."""
