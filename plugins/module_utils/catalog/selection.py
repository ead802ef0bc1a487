# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of a catalog: some schemas of it, or all but what a pattern names; and how many objects of each type it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import (
    WITHOUT_SCHEMA,
    CatalogKey,
    cut,
    relation_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    PLATFORM_SCHEMAS,
    WITH_COLUMNS,
    Catalog,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.privileges import unquoted

_ON_THE_PLATFORM_TOO = frozenset({"policy", "trigger"})


@dataclass(frozen=True)
class Remainder:
    """A catalog without what was to be ignored.

    :param left_out: the number of objects and attributes that are missing.
    :param matched: the patterns that named any of them.
    """

    catalog: Catalog
    left_out: int
    matched: frozenset[str]


def count_objects(catalog: Catalog) -> dict[str, int]:
    """The number of objects of each type that there is one of, sorted by type."""
    return dict(sorted(Counter(CatalogKey.parse(key).kind for key in catalog).items()))


def of_schemas(catalog: Catalog, schemas: Sequence[str]) -> Catalog:
    """What the catalog would be had only these schemas been read: a file may hold more than is compared."""
    wanted = frozenset(schemas)
    return {
        key: _of_publication(definition, wanted) if key.startswith("publication ") else definition
        for key, definition in catalog.items()
        if _is_of(key, wanted)
    }


def without_ignored(catalog: Catalog, patterns: Sequence[str]) -> Remainder:
    """The catalog without the objects and attributes that a pattern names.

    A pattern is compared with an object's key, C(table public.orders), and with an attribute's, which is the attribute, the
    word V(on) and the object's key, C(comment on table public.orders). A relation that is left out takes its columns along.
    """
    if not patterns:
        return Remainder(catalog, 0, frozenset())
    kept: Catalog = {}
    matched: set[str] = set()
    left_out = 0
    for key, definition in catalog.items():
        names = [key, *_relation_keys(key)]
        hits = {pattern for pattern in patterns if any(fnmatchcase(name, pattern) for name in names)}
        if hits:
            matched |= hits
            left_out += 1
            continue
        kept[key] = {}
        for attribute, value in definition.items():
            hits = {pattern for pattern in patterns if fnmatchcase(f"{attribute} on {key}", pattern)}
            if hits:
                matched |= hits
                left_out += 1
            else:
                kept[key][attribute] = value
    return Remainder(kept, left_out, frozenset(matched))


def _relation_keys(key: str) -> list[str]:
    """The keys that the relation of a column may have."""
    object_type, name = CatalogKey.parse(key)
    if object_type != "column":
        return []
    relation = relation_of(name)
    return [f"{kind} {relation}" for kind in sorted(WITH_COLUMNS)]


def _is_of(key: str, schemas: frozenset[str]) -> bool:
    parsed = CatalogKey.parse(key)
    schema = unquoted(parsed.schema)
    # Default privileges without a schema are of every schema.
    if parsed.kind in WITHOUT_SCHEMA or parsed.kind == "default privileges" and not schema:
        return True
    return schema in schemas or parsed.kind in _ON_THE_PLATFORM_TOO and schema in PLATFORM_SCHEMAS


def _of_publication(definition: dict[str, Any], schemas: frozenset[str]) -> dict[str, Any]:
    if "tables" not in definition:
        return definition
    tables = {name: told for name, told in definition["tables"].items() if unquoted(cut(name, ".")[0]) in schemas}
    rest = {attribute: value for attribute, value in definition.items() if attribute != "tables"}
    return {**rest, "tables": tables} if tables else rest
