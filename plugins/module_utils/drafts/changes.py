# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SQL that gives one object of a catalog its earlier definition back, where that is mechanical. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.ddl import (
    comment_statement,
    owner_statement,
    switch_statement,
    word_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, column_of, cut, relation_of
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.grants import (
    ForeignGrant,
    column_grant_changes,
    default_privileges_changes,
    grant_changes,
    grantees,
    grants_of_a_new_object,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.objects import (
    NotMechanical,
    grant_target,
    options_list,
    publish_options,
    published_table,
    relation_word,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.parts import CatalogWithParts

_RELATIONS_THAT_FOLLOW_THEIR_QUERY = ("view", "materialized view")
# They bound each other, so that one after the other might be refused.
_SET_AT_ONCE = {
    "sequence": ("type", "increment", "minimum", "maximum", "start", "cache", "cycle"),
    "publication": ("insert", "update", "delete", "truncate", "via root"),
}


# What an object of these types is made of; a change of anything else has an ALTER or a COMMENT.
_MADE_OF = {
    "policy": {"command", "kind", "roles", "using", "check"},
    "rule": {"definition"},
    "statistics": {"definition"},
    "constraint": {"definition", "validated", "enforcing triggers"},
    "index": {"definition", "valid", "ready", "parent", "tablespace"},
    "trigger": {"definition"},
    "view": {"definition"},
    "materialized view": {"definition", "access method", "populated"},
    "function": {"definition"},
    "procedure": {"definition"},
    "event trigger": {"event", "tags", "function"},
}


def must_be_made_anew(key: str, before: CatalogWithParts, after: CatalogWithParts) -> bool:
    """Whether PostgreSQL has no ALTER that gives the earlier definition back, so that it is dropped and made again."""
    object_type, name = CatalogKey.parse(key)
    then, now = before[key], after[key]
    if not any(then.get(attribute) != now.get(attribute) for attribute in _MADE_OF.get(object_type, ())):
        return False
    if object_type == "view":
        return _columns(name, before) != _columns(name, after)
    if object_type in ("function", "procedure"):
        return _signature(then["definition"]) != _signature(now["definition"])
    return True


def alter_statements(key: str, before: CatalogWithParts, after: CatalogWithParts) -> tuple[list[str], list[str]]:
    """What gives the object its earlier definition back, and what of it is not mechanical, each as a reason."""
    object_type, _name = CatalogKey.parse(key)
    then, now = before[key], after[key]
    differs = [name for name in dict.fromkeys(["owner", *then, *now]) if then.get(name) != now.get(name)]
    statements: list[str] = []
    reasons: list[str] = []
    if object_type == "column":
        return _column(key, before, after, differs)
    if object_type == "default privileges":
        return default_privileges_changes(key, now["privileges"], then["privileges"]), []
    if object_type in _SET_AT_ONCE and (at_once := [item for item in differs if item in _SET_AT_ONCE[object_type]]):
        statements.append(_all_at_once(key, then))
        differs = [item for item in differs if item not in at_once]
    for attribute in differs:
        try:
            statements += _attribute(key, attribute, before, after)
        except NotMechanical as reason:
            reasons.append(f"{attribute}: {reason}")
        except ForeignGrant as item:
            reasons.append(f"{attribute}: somebody else than the owner granted {item}")
    return statements, reasons


def _attribute(key: str, attribute: str, before: CatalogWithParts, after: CatalogWithParts) -> list[str]:
    object_type, name = CatalogKey.parse(key)
    then, now = before[key].get(attribute), after[key].get(attribute)
    target = grant_target(key)
    if attribute == "owner":
        return [owner_statement(key, str(then))]
    if attribute == "comment":
        return [comment_statement(key, then, before)]
    if attribute == "privileges" and target:
        if before[key]["owner"] != after[key]["owner"]:
            # The change of owner, which comes first, rewrote who granted what.
            return grants_of_a_new_object(target, then, before[key]["owner"], grantees(now))
        return grant_changes(target, now, then, before[key]["owner"])
    if attribute == "enabled":
        return [switch_statement(key, before[key])]
    if attribute == "definition" and object_type in ("function", "procedure"):
        return [str(then).strip().removesuffix(";") + ";"]
    if attribute == "definition" and object_type == "view":
        # Without its options CREATE OR REPLACE would take them away.
        options = before[key].get("options")
        given = f" with ({options_list(options)})" if options else ""
        return [f"create or replace view {name}{given} as\n{str(then).strip().removesuffix(';')};"]
    if attribute == "persistence" and object_type == "sequence" and "owned by" in before[key]:
        # It goes with its table.
        return []
    if attribute in ("options", "toast options"):
        prefix = "toast." if attribute == "toast options" else ""
        return _options(f"alter {word_of(key)}", now, then, prefix)
    maker = _ATTRIBUTES.get((object_type, attribute))
    if maker is None:
        raise NotMechanical("PostgreSQL has no plain way back")
    return maker(name, then, now)


def _options(alter: str, now: Sequence[str] | None, then: Sequence[str] | None, prefix: str = "") -> list[str]:
    gone = {option.partition("=")[0] for option in now or []} - {option.partition("=")[0] for option in then or []}
    back = [prefix + option for option in then or [] if option not in (now or [])]
    statements = [f"{alter} reset ({', '.join(prefix + name for name in sorted(gone))});"] if gone else []
    return statements + ([f"{alter} set ({options_list(back)});"] if back else [])


def _column(
    key: str, before: CatalogWithParts, after: CatalogWithParts, differs: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Identity before NOT NULL, which PostgreSQL does not take from an identity column."""
    name = CatalogKey.parse(key).name
    relation, column = relation_of(name), column_of(name)
    word = relation_word(relation, before)
    follows = word.startswith(_RELATIONS_THAT_FOLLOW_THEIR_QUERY)
    alter = f"alter {word} alter column {column}"
    then, now = before[key], after[key]
    statements: list[str] = []
    reasons: list[str] = []
    order = ["identity", "default", "not null"]
    for attribute in sorted(differs, key=lambda name: order.index(name) if name in order else len(order)):
        value, found = then.get(attribute), now.get(attribute)
        if attribute == "position" or (follows and attribute in ("type", "collation", "not null", "storage")):
            # It follows from the other columns, or from the view's query.
            continue
        if attribute == "comment":
            statements.append(comment_statement(key, value, before))
        elif attribute == "privileges":
            owner = before[word]["owner"]
            try:
                statements += column_grant_changes(relation, column, found, value, owner)
            except ForeignGrant as item:
                reasons.append(f"privileges: somebody else than the owner granted {item}")
        elif attribute == "options":
            statements += _options(alter, found, value)
        elif attribute in _COLUMN_ATTRIBUTES and not (attribute == "identity" and found is None):
            statements += [f"{alter} {clause};" for clause in _COLUMN_ATTRIBUTES[attribute](value, found)]
        else:
            reasons.append(f"{attribute}: {_COLUMN_REASONS.get(attribute, 'PostgreSQL has no plain way back')}")
    return statements, reasons


def _identity(then: Any, now: Any) -> list[str]:
    return ["drop identity"] if then is None else [f"set generated {then}"]


def _default(then: Any, now: Any) -> list[str]:
    return ["drop default"] if then is None else [f"set default {then}"]


def _not_null(then: Any, now: Any) -> list[str]:
    return ["set not null" if then else "drop not null"]


_COLUMN_ATTRIBUTES: Mapping[str, Callable[[Any, Any], list[str]]] = {
    "identity": _identity,
    "default": _default,
    "not null": _not_null,
    "storage": lambda then, now: [f"set storage {then or 'default'}"],
    "compression": lambda then, now: [f"set compression {then or 'default'}"],
    "statistics target": lambda then, now: [f"set statistics {-1 if then is None else then}"],
}
_COLUMN_REASONS = {
    "type": "the values were converted, and back may lose some or not be possible",
    "identity": "where its sequence stood is gone",
    "generated": "PostgreSQL cannot make a column generated, or plain again with its expression",
    "collation": "the values were ordered anew",
}


def _row_security(name: str, then: Any, now: Any) -> list[str]:
    return [f"alter table {name} {'enable' if then else 'disable'} row level security;"]


def _row_security_forced(name: str, then: Any, now: Any) -> list[str]:
    return [f"alter table {name} {'force' if then else 'no force'} row level security;"]


def _replica_identity(name: str, then: Any, now: Any) -> list[str]:
    word = str(then)
    if word.startswith("index "):
        word = f"using index {cut_last(word.removeprefix('index '))}"
    return [f"alter table {name} replica identity {word};"]


def _clustered(name: str, then: Any, now: Any) -> list[str]:
    return [f"alter table {name} " + ("set without cluster;" if then is None else f"cluster on {cut_last(then)};")]


def cut_last(name: str) -> str:
    """The last part of a dotted name: the index in C(public.orders_pkey)."""
    return column_of(name)


def _persistence(name: str, then: Any, now: Any) -> list[str]:
    return [f"alter table {name} set {'logged' if then == 'permanent' else 'unlogged'};"]


def _sequence_persistence(name: str, then: Any, now: Any) -> list[str]:
    return [f"alter sequence {name} set {'logged' if then == 'permanent' else 'unlogged'};"]


def _sequence_owner(name: str, then: Any, now: Any) -> list[str]:
    return [f"alter sequence {name} owned by {then or 'none'};"]


def _domain_default(name: str, then: Any, now: Any) -> list[str]:
    return [f"alter domain {name} " + ("drop default;" if then is None else f"set default {then};")]


def _domain_not_null(name: str, then: Any, now: Any) -> list[str]:
    return [f"alter domain {name} {'set' if then else 'drop'} not null;"]


def _extension_schema(name: str, then: Any, now: Any) -> list[str]:
    return [f"alter extension {name} set schema {then};"]


def _enum_labels(name: str, then: Any, now: Any) -> list[str]:
    raise NotMechanical(
        "PostgreSQL cannot take a value from an enum; the type would have to be made anew and its columns converted"
    )


def _published(name: str, then: Any, now: Any) -> list[str]:
    then, now = then or {}, now or {}
    gone = [table for table in now if now[table] != then.get(table)]
    back = [table for table in then if now.get(table) != then[table]]
    statements = [f"alter publication {name} drop table {', '.join(gone)};"] if gone else []
    return statements + [f"alter publication {name} add {published_table(table, then[table])};" for table in back]


def _published_schemas(name: str, then: Any, now: Any) -> list[str]:
    gone, back = _only_in(now, then), _only_in(then, now)
    statements = [f"alter publication {name} drop tables in schema {', '.join(gone)};"] if gone else []
    return statements + ([f"alter publication {name} add tables in schema {', '.join(back)};"] if back else [])


def _only_in(these: Iterable[str] | None, those: Iterable[str] | None) -> list[str]:
    return [item for item in these or [] if item not in (those or [])]


def _all_at_once(key: str, then: Mapping[str, Any]) -> str:
    object_type, name = CatalogKey.parse(key)
    if object_type == "publication":
        return f"alter publication {name} set {publish_options(then)};"
    return (
        f"alter sequence {name} as {then['type']} increment by {then['increment']} minvalue {then['minimum']} "
        f"maxvalue {then['maximum']} start with {then['start']} cache {then['cache']} {'' if then['cycle'] else 'no '}cycle;"
    )


def _columns(relation: str, catalog: CatalogWithParts) -> list[tuple[int, str, str, str | None]]:
    """The columns of a view: CREATE OR REPLACE changes none of them."""
    return sorted(
        (told["position"], name, told["type"], told.get("collation")) for _key, name, told in catalog.columns(relation)
    )


def _index_statistics(name: str, then: Any, now: Any) -> list[str]:
    numbers = sorted({*(then or {}), *(now or {})}, key=int)
    changed = [number for number in numbers if (then or {}).get(number) != (now or {}).get(number)]
    return [f"alter index {name} alter column {n} set statistics {(then or {}).get(n, -1)};" for n in changed]


def _statistics_target(name: str, then: Any, now: Any) -> list[str]:
    return [f"alter statistics {name} set statistics {-1 if then is None else then};"]


_ATTRIBUTES: Mapping[tuple[str, str], Callable[[str, Any, Any], list[str]]] = {
    ("table", "row security"): _row_security,
    ("table", "row security forced"): _row_security_forced,
    ("table", "replica identity"): _replica_identity,
    ("table", "clustered on"): _clustered,
    ("table", "persistence"): _persistence,
    ("sequence", "persistence"): _sequence_persistence,
    ("sequence", "owned by"): _sequence_owner,
    ("domain", "default"): _domain_default,
    ("domain", "not null"): _domain_not_null,
    ("extension", "schema"): _extension_schema,
    ("type", "labels"): _enum_labels,
    ("publication", "tables"): _published,
    ("publication", "schemas"): _published_schemas,
    ("index", "statistics targets"): _index_statistics,
    ("statistics", "statistics target"): _statistics_target,
}


def _signature(definition: str) -> str:
    """What CREATE OR REPLACE cannot change of a function: its arguments and its result."""
    head, rest = cut(definition, "\n LANGUAGE ")
    return head if rest else definition
