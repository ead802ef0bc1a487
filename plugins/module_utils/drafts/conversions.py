# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that convert what a column or an enum holds, and whether that can lose any of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.ddl import owner_statement, requoted
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, column_of, cut, relation_of
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.objects import finish_statements
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.parts import CatalogWithParts
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.identifiers import literal

_SIZED = re.compile(r"^(character varying|character|numeric)\((\d+)(?:,(-?\d+))?\)$")
# Every value of the first is one of each that follows: PostgreSQL, "Data Types".
_WIDER = {
    "smallint": ("integer", "bigint", "numeric"),
    "integer": ("bigint", "numeric", "double precision"),
    "bigint": ("numeric",),
    "real": ("double precision",),
    "character varying": ("text",),
    "uuid": ("text",),
    "date": ("timestamp without time zone",),
}


@dataclass(frozen=True)
class Conversion:
    """The statements that convert a column, the attributes that they settle, and what may be lost; empty when nothing can be."""

    statements: Sequence[str]
    attributes: Sequence[str]
    destroys: str


# Within one of these, to and from text, and within arrays, PostgreSQL has a cast (pg_cast).
_CAST_AMONG = (
    ("smallint", "integer", "bigint", "numeric", "real", "double precision", "money"),
    ("timestamp without time zone", "timestamp with time zone", "date"),
    ("json", "jsonb"),
    ("boolean", "integer"),
)
_TEXTS = ("text", "character varying", "character")


def _is_cast(now: str, then: str) -> bool:
    one, other = (re.sub(r"\(.*?\)", "", kind) for kind in (now, then))
    among = any(one in kinds and other in kinds for kinds in _CAST_AMONG)
    return one == other or one in _TEXTS or other in _TEXTS or among


def keeps_every_value(now: str, then: str) -> bool:
    """Whether every value of one type is one of the other, by the types' names."""
    old, new = _SIZED.match(now), _SIZED.match(then)
    if old and new and old[1] == new[1]:
        if old[1] == "numeric":
            scale, wider = int(old[3] or 0), int(new[3] or 0)
            return wider >= scale and int(new[2]) - wider >= int(old[2]) - scale
        return old[1] != "character" and int(new[2]) >= int(old[2])
    base = old[1] if old else now
    if old and then == base:
        return base != "character"
    return then in _WIDER.get(base, ())


def column_conversion(key: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> Conversion | None:
    """What changes a column's type, collation or expression; None when these are the same."""
    name = CatalogKey.parse(key).name
    relation, column = relation_of(name), column_of(name)
    alter = f"alter table {relation} alter column {column}"
    if "generated" in now and "generated" not in then:
        more = [f"{alter} set default {then['default']};"] if "default" in then else []
        if then["type"] == now["type"]:
            return Conversion([f"{alter} drop expression;", *more], ("generated", "default"), "")
    if "generated" in then and "generated" not in now:
        table = f"alter table {relation}"
        expression, _space, kind = then["generated"].rpartition(" ")
        made = f"{table} add column {column} {then['type']} generated always as ({expression}) {kind}"
        made += " not null;" if then["not null"] else ";"
        reason = "its values would be lost: the column would be made again, computed"
        return Conversion([f"{table} drop column {column};", made], (*then, *now), reason)
    if then["type"] == now["type"] and then.get("collation") == now.get("collation"):
        return None
    collation = f" collate {then['collation']}" if "collation" in then else ""
    keeps = keeps_every_value(now["type"], then["type"]) or then["type"] == now["type"]
    by_text = "" if _is_cast(now["type"], then["type"]) else "::text"
    using = "" if keeps else f" using {column}{by_text}::{then['type']}"
    statements = [f"{alter} type {then['type']}{collation}{using};"]
    if "default" in now:
        statements.insert(0, f"{alter} drop default;")
    if "default" in then:
        statements.append(f"{alter} set default {then['default']};")
    reason = f"not every value of {now['type']} may be one of {then['type']}"
    return Conversion(statements, ("type", "collation", "default", "storage"), "" if keeps else reason)


def enum_additions(key: str, then: Sequence[str], now: Sequence[str]) -> list[str] | None:
    """ALTER TYPE ... ADD VALUE for each missing one; None when that does not lead there."""
    if [label for label in then if label in now] != list(now):
        return None
    name, statements, there = CatalogKey.parse(key).name, [], list(now)
    for place, label in enumerate(then):
        if label in there:
            continue
        where = f" after {literal(then[place - 1])}" if place else f" before {literal(there[0])}" if there else ""
        there.insert(place, label)
        statements.append(f"alter type {name} add value {literal(label)}{where};")
    return statements


def enum_rebuild(key: str, then: Sequence[str], wanted: CatalogWithParts, present: CatalogWithParts) -> list[str]:
    """The type made anew, the columns of it converted by the names of their values; what stands on it is dropped before."""
    name = CatalogKey.parse(key).name
    schema, own = cut(name, ".")
    old = requoted(f"{schema}.pgops_old_{own.strip(chr(34))[:40]}")
    statements = [
        f"alter type {name} rename to {cut(old, '.')[1]};",
        f"create type {name} as enum ({', '.join(map(literal, then))});",
        owner_statement(key, wanted[key]["owner"]),
    ]
    for column_key in present.of_kind.get("column", ()):
        told = present[column_key]
        place = CatalogKey.parse(column_key).name
        relation, column = relation_of(place), column_of(place)
        if told["type"] not in (name, f"{name}[]") or wanted.get(column_key, {}).get("type") != told["type"]:
            continue
        if f"type {relation}" in present:
            statements.append(f"alter type {relation} alter attribute {column} type {told['type']};")
        if f"table {relation}" not in present:
            continue
        if present[f"table {relation}"].get("inherits"):
            continue
        alter, array = f"alter table {relation} alter column {column}", "[]" if told["type"].endswith("[]") else ""
        default = wanted.get(column_key, told).get("default")
        statements += [f"{alter} drop default;"] if "default" in told else []
        statements.append(f"{alter} type {name}{array} using {column}::text{array}::{name}{array};")
        statements += [f"{alter} set default {default};"] if default is not None else []
    statements.append(f"drop type {old};")
    return [*statements, *(s for s in finish_statements(key, wanted) if " owner to " not in s)]
