# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names in a catalog: which relation an object belongs to, and where another object's name is mentioned. Pure.

A catalog writes every name as PostgreSQL's quote_ident does and with its schema, so that a name is found again in any
definition as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import (
    ON_A_RELATION,
    CatalogKey,
    cut,
    relation_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import WITH_COLUMNS

RELATIONS = WITH_COLUMNS | {"domain"}
"""The types of what other objects belong to and go with."""

ROUTINES = frozenset({"function", "procedure", "aggregate"})
_BODY = re.compile(r"\nAS (\$\w*\$|')")


def owner_relation(key: str, definition: Mapping[str, Any]) -> str | None:
    """The relation, or the domain, that an object belongs to and goes with; None when it stands for itself."""
    object_type, name = CatalogKey.parse(key)
    if object_type == "column":
        return relation_of(name)
    if object_type in ON_A_RELATION:
        return CatalogKey.parse(key).on
    if object_type == "index":
        return cut(cut(str(definition.get("definition", "")), " ON ")[1], " USING ")[0].removeprefix("ONLY ")
    if object_type == "sequence":
        column = definition.get("owned by")
        return relation_of(column) if column else None
    if object_type == "statistics":
        return cut(str(definition.get("definition", "")), " FROM ")[1] or None
    return None


def schema_of(key: str) -> str | None:
    """The schema in which an object is; None for what is in no schema."""
    parsed = CatalogKey.parse(key)
    return None if parsed.kind in ("schema", "default privileges") else parsed.schema or None


def text_of(definition: Any) -> str:
    """All that a definition says, line by line; of a function whose body is a string only what PostgreSQL depends on."""
    return "\n".join(_texts(definition))


def mentions(text: str, key: str) -> bool:
    """Whether a definition speaks of the object, by its name with its schema."""
    object_type, name = CatalogKey.parse(key)
    if object_type in ROUTINES:
        name = f"{cut(name, '(')[0]}("
    elif object_type == "extension":
        name = key
    elif object_type not in (*RELATIONS, "sequence", "column", "collation", "operator"):
        return False
    if name not in text:
        return False
    ending = "" if name.endswith("(") else r'(?![\w$"])'
    return re.search(rf'(?<![\w$".]){re.escape(name)}{ending}', text) is not None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield _BODY.split(value, maxsplit=1)[0] if value.startswith("CREATE OR REPLACE ") else value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield name
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
