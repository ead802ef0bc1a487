# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A draft of the rollback of a migration, from the catalogs before and after it. Pure.

What was created is dropped, what was changed gets its earlier definition back, and what was dropped without data is made
again. Everything that held data, and everything PostgreSQL has no plain way back for, is told and left to a person. A draft
is a proposal: what it does is proven by running it (:mod:`drafts.job`) and read by somebody before it is used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, column_of, cut, relation_of
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import Catalog
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.changes import alter_statements, must_be_made_anew
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.grants import ForeignGrant
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.names import (
    RELATIONS,
    ROUTINES,
    mentions,
    owner_relation,
    text_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.objects import (
    NotMechanical,
    create_statements,
    drop_statements,
    node_text,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.order import Step, ordered
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.parts import CatalogWithParts, Words

# These can be dropped and made again without loss when something they depend on has to be made anew.
_CAN_FOLLOW = frozenset(
    {"view", "materialized view", "policy", "trigger", "rule", "constraint", "index", "statistics", "event trigger"}
)
_LOOKS_RENAMED = "it may have been renamed to {}; then rename it back by hand. If it was dropped, {}"


@dataclass(frozen=True)
class NotCovered:
    """An object, or a part of it, that the draft leaves to a person, and why."""

    key: str
    reason: str


@dataclass
class Draft:
    """What was found to be mechanical, as statements in order, and what was not."""

    statements: list[str] = field(default_factory=list)
    not_covered: list[NotCovered] = field(default_factory=list)


def draft_rollback(before: Catalog, after: Catalog, requires: Mapping[str, Sequence[str]] | None = None) -> Draft:
    """What leads from the catalog after a migration back to the one before it.

    :param before: the catalog before, of the same schemas and the same server as C(after).
    :param requires: the keys of the extensions that an extension, by its key, requires.
    """
    work = Work(before, after, requires or {})
    work.find_steps()
    statements = [statement for step in ordered(work.steps) for statement in step.statements]
    if any(step.action == "create" and CatalogKey.parse(step.key).kind in ROUTINES for step in work.steps):
        # A body may speak of what is made after it.
        statements.insert(0, "set local check_function_bodies = off;")
    return Draft(statements, sorted(work.not_covered, key=lambda item: item.key))


class Work:
    """The steps that are being found."""

    def __init__(self, before: Catalog, after: Catalog, requires: Mapping[str, Sequence[str]]) -> None:
        self.before, self.after = CatalogWithParts(before), CatalogWithParts(after)
        self.requires = requires
        self.steps: list[Step] = []
        self.not_covered: list[NotCovered] = []
        self.created = after.keys() - before.keys()
        self.dropped = before.keys() - after.keys()
        self.changed = {key for key in before.keys() & after.keys() if before[key] != after[key]}

    def find_steps(self) -> None:
        """Look at every difference."""
        renamed = self.renamed()
        anew = self.made_anew()
        made = self.created | anew
        for key in sorted(made):
            if key not in renamed and not self.goes_with_another(key, self.after, made):
                self.drop(key)
        for key in sorted(self.dropped | anew):
            if key not in renamed and not self.goes_with_another(key, self.before, self.dropped):
                self.create(key)
        for key in sorted(self.changed - anew):
            self.alter(key)

    def drop(self, key: str) -> None:
        """Add the step that drops it."""
        try:
            statements = drop_statements(key, self.after)
        except ForeignGrant as item:
            self.leave(key, f"somebody else than the owner granted {item}")
            return
        leaves = "\n".join((node_text(key, self.after), *self.requires.get(key, ())))
        self.steps.append(Step("drop", key, tuple(statements), leaves=leaves))

    def create(self, key: str) -> None:
        """Add the step that makes it."""
        try:
            statements = create_statements(key, self.before)
        except NotMechanical as reason:
            self.leave(key, str(reason))
            return
        except ForeignGrant as item:
            self.leave(key, f"somebody else than the owner granted {item}")
            return
        self.steps.append(Step("create", key, tuple(statements), needs=node_text(key, self.before)))

    def alter(self, key: str) -> None:
        """Add the step that gives it its earlier definition."""
        statements, reasons = alter_statements(key, self.before, self.after)
        for reason in reasons:
            self.leave(key, reason)
        if statements:
            then, now = self.before[key], self.after[key]
            differs = {name for name in then.keys() | now.keys() if then.get(name) != now.get(name)}
            self.steps.append(
                Step(
                    "alter",
                    key,
                    tuple(statements),
                    leaves=text_of({name: now[name] for name in differs if name in now}),
                    needs=text_of({name: then[name] for name in differs if name in then}),
                )
            )

    def leave(self, key: str, reason: str) -> None:
        """Leave it to a person."""
        self.not_covered.append(NotCovered(key, reason))

    def made_anew(self) -> set[str]:
        """What is dropped and made again: where no ALTER leads back, with all that depends on it and belongs to it."""
        anew: set[str] = set()
        followers = Followers(self.before, self.after)
        waiting = [key for key in sorted(self.changed) if must_be_made_anew(key, self.before, self.after)]
        while waiting:
            key = waiting.pop()
            if key in anew:
                continue
            anew.add(key)
            waiting += followers.of(key) - anew
        return anew

    def goes_with_another(self, key: str, catalog: CatalogWithParts, together: set[str]) -> bool:
        """Whether it comes and goes with something else that does, so that it needs no statement of its own."""
        object_type, name = CatalogKey.parse(key)
        definition = catalog[key]
        if object_type == "function":
            return cut(name, "(")[0] in _made_with_ranges(catalog, together)
        relation = owner_relation(key, definition)
        if relation is None:
            return False
        if object_type == "column" and any(f"{kind} {relation}" in catalog for kind in ("view", "materialized view")):
            return True
        whole = {f"{kind} {relation}" for kind in RELATIONS}
        if catalog is self.after and whole & together:
            return True
        if catalog is self.before and whole & together:
            # A table's parts are lost with it; a view, a type and a domain are made again, and then their parts.
            return bool({f"{kind} {relation}" for kind in ("table", "foreign table", "type")} & together) or (
                object_type == "constraint" and definition["definition"].startswith("NOT NULL")
            )
        if object_type == "sequence":
            column = f"column {definition['owned by']}"
            identity = catalog.get(column, {}).get("identity")
            return column in together or (identity is not None and column in self.changed)
        if object_type == "index":
            return backs_a_constraint(key, relation, catalog) or index_of_parent(definition, together)
        return inherited(key, relation, catalog, together)

    def renamed(self) -> set[str]:
        """What may have been renamed: dropped and created look just the same, and to drop would lose the data."""
        suspects: set[str] = set()
        for old, new in [*self._renamed_columns(), *self._renamed_tables()]:
            suspects |= {old, new}
            name = CatalogKey.parse(new).name
            self.leave(old, _LOOKS_RENAMED.format(name, "its data is gone with it, and only a backup has it"))
            self.leave(new, "see what it may have been renamed from; to drop it would lose its data")
            suspects |= self.created.intersection(self.after.parts.get(name, ()))
            suspects |= self.dropped.intersection(self.before.parts.get(CatalogKey.parse(old).name, ()))
        return suspects

    def _renamed_columns(self) -> Iterator[tuple[str, str]]:
        for old in sorted(key for key in self.dropped if key.startswith("column ")):
            relation = relation_of(CatalogKey.parse(old).name)
            if f"table {relation}" not in self.before or f"table {relation}" not in self.after:
                continue
            for new, _name, column in self.after.columns(relation):
                if new in self.created and self.before[old]["type"] == column["type"]:
                    yield old, new

    def _renamed_tables(self) -> Iterator[tuple[str, str]]:
        created: dict[tuple[tuple[str, str], ...], list[str]] = defaultdict(list)
        for new in sorted(key for key in self.created if key.startswith("table ")):
            created[_shape(new, self.after)].append(new)
        for old in sorted(key for key in self.dropped if key.startswith("table ")):
            yield from ((old, new) for new in created.get(_shape(old, self.before), ()))


class Followers:
    """What depends on an object, or belongs to it, and can be dropped and made again with it."""

    def __init__(self, before: CatalogWithParts, after: CatalogWithParts) -> None:
        self._before, self._after = before, after
        self._keys = [key for kind in _CAN_FOLLOW for key in after.of_kind.get(kind, ()) if key in before]
        self._texts = [text_of(after[key]) for key in self._keys]
        self._words = Words(self._texts)

    def of(self, key: str) -> set[str]:
        """The keys of what is there before and after."""
        object_type, name = CatalogKey.parse(key)
        parts = self._after.parts.get(name, ()) if object_type in RELATIONS else ()
        found = {part for part in parts if part in self._before and not part.startswith("column ")}
        found |= {self._keys[n] for n in self._words.that_may_mention(key) if mentions(self._texts[n], key)}
        return found - {key}


def _shape(table: str, catalog: CatalogWithParts) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, told["type"]) for _key, name, told in catalog.columns(CatalogKey.parse(table).name)))


def _made_with_ranges(catalog: CatalogWithParts, together: set[str]) -> set[str]:
    """The names of the functions that PostgreSQL makes with range types: those of the types themselves."""
    names: set[str] = set()
    for key in together.intersection(catalog.of_kind.get("type", ())):
        if catalog[key].get("kind") == "range":
            names |= {CatalogKey.parse(key).name, catalog[key]["subtype"]["multirange"]}
    return names


def backs_a_constraint(key: str, relation: str, catalog: CatalogWithParts) -> bool:
    """The index of a primary key, a unique or an exclusion constraint has its name and goes with it."""
    constraint = catalog.get(f"constraint {column_of(CatalogKey.parse(key).name)} on {relation}")
    return constraint is not None and constraint["definition"].startswith(("PRIMARY KEY", "UNIQUE", "EXCLUDE"))


def index_of_parent(definition: Mapping[str, Any], together: set[str]) -> bool:
    """Whether it is a part of a partitioned index that is among them."""
    return f"index {definition.get('parent')}" in together


def inherited(key: str, relation: str, catalog: CatalogWithParts, together: set[str]) -> bool:
    """A column or a constraint that a table has from its parent goes with the parent's."""
    object_type, name = CatalogKey.parse(key)
    parents = catalog.get(f"table {relation}", {}).get("inherits") or []
    if object_type == "column":
        return any(f"column {parent}.{column_of(name)}" in together for parent in parents)
    if object_type != "constraint" or not parents:
        return False
    return any(
        catalog[other]["definition"] == catalog[key]["definition"]
        for parent in parents
        for other in catalog.parts.get(parent, ())
        if other in together and other.startswith("constraint ")
    )
