# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A draft that leads from one project's catalog to another's: what holds data is made empty, or destroyed where it is said. Pure.

Beside what a rollback's draft does (:mod:`drafts.steps`) it makes tables, columns and sequences, converts types, and can take
the forms that lock a table in use for a moment only (PostgreSQL, ALTER TABLE, "Notes"; CREATE INDEX, "Building Indexes
Concurrently"). Each step has the phase that it belongs to, because those forms want transactions of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, cut
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import Catalog
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.changes import alter_statements, must_be_made_anew
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.conversions import (
    enum_additions,
    enum_rebuild,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.grants import ForeignGrant
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.identities import made_with_identity
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.names import (
    owner_relation,
    text_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.objects import (
    Maker,
    NotMechanical,
    create_statements,
    relation_word,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.order import Step, dependencies, ordered
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.parts import CatalogWithParts
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.steps import (
    NotCovered,
    backs_a_constraint,
    index_of_parent,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.tables import (
    EMPTY_MAKERS,
    column_grants,
    column_statements,
    extension_statements,
    range_statements,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.whole_columns import (
    INDEXES,
    MAIN,
    VALIDATION,
    VALUES,
    ColumnWork,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.whole_followers import (
    KEY_CONSTRAINTS,
    WholeFollowers,
    index_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.whole_order import (
    adds_values,
    are_used,
    in_transaction,
    merged,
    more_dependencies,
)

_LOST = {
    "table": "its rows would be lost",
    "foreign table": "its definition would be lost",
    "column": "its values would be lost",
    "sequence": "where it stands would be lost",
    "extension": "what it keeps in its own tables, and what is of its types, would be lost",
}
_MADE_ANEW = frozenset({"aggregate", "operator", "collation"})
_ON_EVERY = frozenset({"owner", "comment", "privileges"})
_INDEX = re.compile(r"^CREATE (UNIQUE )?INDEX ")


@dataclass
class WholeDraft:
    """The steps of each phase in order, and what they leave to a person. A step that destroys says what."""

    phases: Mapping[int, list[Step]] = field(default_factory=dict)
    not_covered: list[NotCovered] = field(default_factory=list)

    @property
    def steps(self) -> list[Step]:
        """All of them in order."""
        return [step for phase in sorted(self.phases) for step in self.phases[phase]]


def draft_whole(
    wanted: Catalog,
    present: Catalog,
    requires: Mapping[str, Sequence[str]] | None = None,
    *,
    missing_values: Callable[[str, str | None], int] | None = None,
) -> WholeDraft:
    """What leads from the present catalog to the wanted one.

    :param requires: the keys of the extensions that an extension, by its key, requires.
    :param missing_values: how many rows of a relation have no value in a column, or how many there are of it for a new column
        (None). With it the draft is for a project in use, in safe forms; without it, for the way back, all is one transaction.
    """
    work = _WholeWork(wanted, present, requires or {}, missing_values)
    work.find_steps()
    return WholeDraft(work.in_phases(), sorted(work.not_covered, key=lambda item: item.key))


class _WholeWork(ColumnWork):
    """In it C(before) is the wanted catalog and C(after) the present one."""

    def renamed(self) -> set[str]:
        """Nothing is left out for it: what is dropped is destroyed only where somebody says so."""
        return set()

    def made_anew(self) -> set[str]:
        """With what stands on a column that is dropped or converted, on a key, or on an enum that is made again."""
        followers = WholeFollowers(self.before, self.after)
        waiting = [key for key in sorted(self.changed) if self._wants_anew(key)]
        for key in sorted(self.created | self.changed):
            waiting += followers.of_step(key, key in self.created)
        while waiting:
            key = waiting.pop()
            if key not in self._anew and key in self.before and key in self.after:
                self._anew.add(key)
                waiting += (followers.of(key) | followers.of_step(key, True)) - self._anew
        return self._anew

    def _wants_anew(self, key: str) -> bool:
        kind = CatalogKey.parse(key).kind
        then, now = self.before[key], self.after[key]
        differs = {name for name in then.keys() | now.keys() if then.get(name) != now.get(name)}
        if (
            kind in _MADE_ANEW
            or kind == "type"
            and then["kind"] == now["kind"] == "range"
            or then.get("kind") != now.get("kind")
        ):
            return kind != "policy" and bool(differs - _ON_EVERY) or must_be_made_anew(key, self.before, self.after)
        if kind == "column":
            return "generated" in then and "generated" in now and "generated" in differs
        return not _only_to_validate(then, now) and must_be_made_anew(key, self.before, self.after)

    def goes_with_another(self, key: str, catalog: CatalogWithParts, together: set[str]) -> bool:
        """What comes with a table are its columns and what PostgreSQL makes; the rest of its parts have steps of their own."""
        kind, name = CatalogKey.parse(key)
        relation = owner_relation(key, catalog[key])
        if catalog is self.after and kind == "index" and key in self.before and relation is not None:
            # Another table has one of that name, so it cannot wait for the drop of its own.
            return backs_a_constraint(key, relation, catalog) or index_of_parent(catalog[key], together)
        if catalog is self.after and kind == "constraint" and catalog[key]["definition"].startswith(KEY_CONSTRAINTS):
            if index_of(key) in self.before and key not in self.before:
                # The same for the index behind it.
                return False
        if catalog is self.after or relation is None or kind == "function":
            return super().goes_with_another(key, catalog, together)
        told, parents = catalog[key], catalog.get(f"table {relation}", {}).get("inherits") or []
        is_new = bool({f"{word} {relation}" for word in ("table", "foreign table", "type")} & together)
        if kind == "column":
            return is_new or super().goes_with_another(key, catalog, together)
        if kind == "constraint":
            same = (k for parent in parents for k in catalog.parts.get(parent, ()) if k.startswith("constraint "))
            inherited = any(catalog[k]["definition"] == told["definition"] for k in same)
            return (
                told["definition"].startswith("NOT NULL")
                or inherited
                and (is_new or super().goes_with_another(key, catalog, together))
            )
        if kind == "index":
            return (
                "parent" in told
                and is_new
                or backs_a_constraint(key, relation, catalog)
                or index_of_parent(told, together)
            )
        if kind == "sequence":
            column = f"column {told['owned by']}"
            is_identity = "identity" in catalog.get(column, {})
            return is_identity and (column in together or is_new or column in self.changed)
        return False

    def drop(self, key: str) -> None:
        """Add the step that drops it; it destroys where that held data."""
        kind, _name = CatalogKey.parse(key)
        known = len(self.steps)
        super().drop(key)
        reason = _LOST.get(kind, "")
        if kind == "column" and ("generated" in self.after[key] and (key in self._anew or key not in self.before)):
            reason = ""
        if reason and len(self.steps) > known:
            self.steps[-1] = replace(self.steps[-1], destroys=reason)

    def create(self, key: str) -> None:
        """Add the steps that make it, in the forms that fit a table in use."""
        try:
            statements = self._made(key)
        except NotMechanical as reason:
            self.leave(key, str(reason))
            return
        except ForeignGrant as item:
            self.leave(key, f"somebody else than the owner granted {item}")
            return
        kind, name = CatalogKey.parse(key)
        step = Step("create", key, tuple(merged(statements)), needs=self._needs(key), phase=MAIN)
        if kind == "sequence" and "owned by" in self.before[key]:
            owner = self.before[key]["owned by"]
            self.steps += [
                step,
                Step("alter", key, (f"alter sequence {name} owned by {owner};",), needs=owner, phase=MAIN),
            ]
        elif kind == "column":
            self.steps += [step, *self.filled(key)]
        elif kind == "table":
            self.steps += [step, *self._of_index(key)]
        elif self._is_in_use(key) or kind == "constraint" and self._stands(key, index_of(key)):
            self.steps += list(self._safely(step))
        else:
            self.steps.append(step)

    def _made(self, key: str) -> list[str]:
        kind, _name = CatalogKey.parse(key)
        told = self.before[key]
        if kind == "extension":
            return extension_statements(key, self.before)
        if kind == "column":
            return column_statements(key, self.before, nullable=self.must_be_filled(key))
        more: dict[str, Maker] = dict(EMPTY_MAKERS)
        if kind == "type" and told["kind"] not in ("enum", "composite"):
            more["type"] = range_statements
        statements = create_statements(key, self.before, more)
        if kind == "table":
            statements += column_grants(CatalogKey.parse(key).name, self.before)
        if kind == "index":
            # On a partitioned table ONLY would leave the index invalid.
            statements[0] = statements[0].replace(" ON ONLY ", " ON ", 1)
        return statements

    def _needs(self, key: str) -> str:
        kind, name = CatalogKey.parse(key)
        told = self.before[key]
        if kind == "table":
            return "\n".join([text_of(told), *(text_of(column) for _key, _name, column in self.before.columns(name))])
        own = text_of({n: v for n, v in told.items() if not (kind == "sequence" and n == "owned by")})
        relation = None if kind == "sequence" else owner_relation(key, told)
        return f"{own}\n{relation or ''}"

    def _of_index(self, key: str) -> Iterator[Step]:
        """What a new table says of its indexes."""
        told = dict(self.before[key])
        now = {**told, "clustered on": None}
        if told["replica identity"].startswith("index "):
            now["replica identity"] = "default"
        bare = CatalogWithParts({key: now})
        statements, _reasons = alter_statements(key, self.before, bare)
        if statements:
            yield Step("alter", key, tuple(statements), needs=CatalogKey.parse(key).name, phase=MAIN)

    def _is_in_use(self, key: str) -> bool:
        relation = owner_relation(key, self.before[key])
        return self.is_safe and any(
            f"{kind} {relation}" in self.before and f"{kind} {relation}" in self.after
            for kind in ("table", "materialized view", "domain")
        )

    def _safely(self, step: Step) -> Iterator[Step]:
        kind, name = CatalogKey.parse(step.key)
        told, relation = self.before[step.key], owner_relation(step.key, self.before[step.key]) or ""
        partitioned = self.before.get(f"table {relation}", {}).get("partitioned", False)
        if kind == "index" and not partitioned:
            first = _INDEX.sub(lambda match: f"CREATE {match[1] or ''}INDEX CONCURRENTLY ", step.statements[0])
            yield replace(step, statements=(first, *step.statements[1:]), phase=INDEXES)
        elif kind == "constraint" and told["definition"].startswith(("FOREIGN KEY", "CHECK")):
            if told["definition"].endswith(" NOT VALID") or partitioned and told["definition"].startswith("FOREIGN"):
                yield step
                return
            first = step.statements[0].removesuffix(";") + " not valid;"
            yield replace(step, statements=(first, *step.statements[1:]))
            yield self._validated(step.key)
        elif kind == "constraint" and told["definition"].startswith(KEY_CONSTRAINTS) and not partitioned:
            yield from self._by_index(step, relation)
        else:
            yield step

    def _validated(self, key: str) -> Step:
        constraint, relation = cut(CatalogKey.parse(key).name, " on ")
        word = relation_word(relation, self.before)
        return Step("alter", key, (f"alter {word} validate constraint {constraint};",), phase=VALIDATION)

    def _by_index(self, step: Step, relation: str) -> Iterator[Step]:
        constraint = cut(CatalogKey.parse(step.key).name, " on ")[0]
        index = index_of(step.key)
        told = self.before[step.key]["definition"]
        deferrable = told.find(" DEFERRABLE")
        if index not in self.before or not _INDEX.match(self.before[index]["definition"]):
            yield step
            return
        stands = self._stands(step.key, index)
        made = _INDEX.sub("CREATE UNIQUE INDEX CONCURRENTLY ", self.before[index]["definition"])
        word = "primary key" if told.startswith("PRIMARY KEY") else "unique"
        ending = told[deferrable:].lower() if deferrable >= 0 else ""
        using = f"alter table {relation} add constraint {constraint} {word} using index {constraint}{ending};"
        if not stands:
            yield Step("create", index, (f"{made};",), needs=step.needs, phase=INDEXES)
        yield replace(step, statements=(using, *step.statements[1:]), phase=MAIN if stands else VALIDATION)

    def _stands(self, key: str, index: str) -> bool:
        """Whether the index of a constraint is there already, as one of its own."""
        return index in self.after and key not in self.after and index not in self._anew

    def alter(self, key: str) -> None:
        """Add the steps that change it, a conversion of what it holds by itself."""
        kind, name = CatalogKey.parse(key)
        then, now = self.before[key], self.after[key]
        if kind == "column":
            self.alter_column(key)
        elif kind == "sequence" and made_with_identity(key, self.before, self.after):
            return
        elif kind == "constraint" and _only_to_validate(then, now):
            self.steps.append(replace(self._validated(key), phase=VALIDATION if self.is_safe else MAIN))
        elif kind == "type" and then.get("labels") != now.get("labels"):
            self._alter_enum(key)
        else:
            self.plainly(key)

    def _alter_enum(self, key: str) -> None:
        then, now = self.before[key]["labels"], self.after[key].get("labels") or []
        added = enum_additions(key, then, now)
        if added is not None:
            self.steps.append(Step("alter", key, tuple(added), phase=MAIN))
        else:
            statements = enum_rebuild(key, then, self.before, self.after)
            reason = "values of the type would be taken away or change their order" if self.is_safe else ""
            self.steps.append(Step("alter", key, tuple(statements), destroys=reason, phase=MAIN))
        self.plainly(key, "labels")

    def in_phases(self) -> Mapping[int, list[Step]]:
        """Every step in its phase, not before what it needs; what waits for something commented is commented with it."""
        hard = list(dependencies(self.steps))
        soft = list(more_dependencies(self.steps, self.before, self.after))
        self._spread(hard, soft)
        phases: dict[int, list[Step]] = {}
        for phase in range(VALIDATION + 1):
            places = [number for number, step in enumerate(self.steps) if step.phase == phase]
            if phase == VALIDATION:
                for number in places:
                    self.steps[number] = in_transaction(self.steps[number])
            inside = {number: place for place, number in enumerate(places)}
            more = [(inside[a], inside[b]) for a, b in soft if a in inside and b in inside]
            phases[phase] = list(ordered([self.steps[number] for number in places], more))
        return phases

    def _spread(self, hard: Sequence[tuple[int, int]], soft: Sequence[tuple[int, int]]) -> None:
        for number, step in enumerate(self.steps):
            if self.is_safe and adds_values(step) and are_used(step, self.steps):
                self.steps[number] = replace(step, phase=VALUES)
            elif step.phase == VALUES:
                self.steps[number] = replace(step, phase=MAIN)
        again = True
        while again:
            again = False
            for place, (first, second) in enumerate([*hard, *soft]):
                one, other = self.steps[first], self.steps[second]
                changed = replace(other, phase=max(one.phase, other.phase))
                if place < len(hard) and one.destroys and not other.destroys:
                    what = f"{one.action}s {one.key}" if one.action != "alter" else f"changes {one.key}"
                    changed = replace(changed, destroys=f"it waits for what {what}")
                if changed != other:
                    self.steps[second], again = changed, True


def _only_to_validate(then: Mapping[str, object], now: Mapping[str, object]) -> bool:
    return "definition" in then and f"{then['definition']} NOT VALID" == now.get("definition")
