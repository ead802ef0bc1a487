# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of a catalog, taken apart: what type an object has, its name, and what it is on. Pure.

A catalog keeps its keys as text, because its JSON form and its fingerprint depend on them; here that text is read. Names are
as PostgreSQL's quote_ident writes them, so that a dot or a word between quotes is a part of a name.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.queries import OBJECT_TYPES

ON_A_RELATION = frozenset({"constraint", "policy", "rule", "trigger"})
"""The types whose name is followed by the relation, or the domain, that they are on."""

WITHOUT_SCHEMA = frozenset({"event trigger", "extension", "publication"})


class DefaultPrivileges(NamedTuple):
    """Whose new objects of which kind, C(tables), in which schema; empty for every schema. Names as SQL."""

    role: str
    kind: str
    schema: str


class CatalogKey(NamedTuple):
    """One key: C(policy p on public.t) is the kind V(policy) and the name V(p on public.t)."""

    kind: str
    name: str

    @classmethod
    def parse(cls, text: str) -> CatalogKey:
        """The key that a catalog writes as the text.

        :raises ValueError: when it begins with no type of object.
        """
        return _parsed(text)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def own_name(self) -> str:
        """The name without the relation that it is on, or, of a column, that it is in."""
        if self.kind == "column":
            return column_of(self.name)
        return cut(self.name, " on ")[0] if self.kind in ON_A_RELATION else self.name

    @property
    def on(self) -> str:
        """The relation that it is on, or that a column is in; empty for what stands for itself."""
        if self.kind == "column":
            return relation_of(self.name)
        return cut(self.name, " on ")[1] if self.kind in ON_A_RELATION else ""

    @property
    def schema(self) -> str:
        """The schema in which it, or what it is on, is; a schema's is its own name. Empty for what is in none."""
        if self.kind in WITHOUT_SCHEMA:
            return ""
        if self.kind == "default privileges":
            return self.defaults.schema
        return cut(self.on or self.name, ".")[0]

    @property
    def defaults(self) -> DefaultPrivileges:
        """What default privileges are of; only of a key of that kind."""
        role, rest = cut(self.name.removeprefix("of "), " for ")
        kind, schema = cut(rest, " in ")
        return DefaultPrivileges(role, kind, schema)


@lru_cache(maxsize=1 << 16)
def _parsed(text: str) -> CatalogKey:
    for kind in OBJECT_TYPES:
        if text.startswith(f"{kind} "):
            return CatalogKey(kind, text[len(kind) + 1 :])
    raise ValueError(f"not a catalog's key: {text}")


def cut(text: str, separator: str) -> tuple[str, str]:
    """What stands before and after the first separator outside quotes; without one, all of it and nothing."""
    if '"' not in text:
        before, _separator, after = text.partition(separator)
        return before, after
    in_quotes = False
    for place, character in enumerate(text):
        if character == '"':
            in_quotes = not in_quotes
        elif not in_quotes and text.startswith(separator, place):
            return text[:place], text[place + len(separator) :]
    return text, ""


def relation_of(column: str) -> str:
    """The relation in a column's name: what stands before the last dot outside quotes."""
    if '"' not in column:
        return column.rpartition(".")[0]
    quoted, last_dot = False, 0
    for place, character in enumerate(column):
        if character == '"':
            quoted = not quoted
        elif character == "." and not quoted:
            last_dot = place
    return column[:last_dot]


def column_of(column: str) -> str:
    """The column in a column's name."""
    return column[len(relation_of(column)) + 1 :]
