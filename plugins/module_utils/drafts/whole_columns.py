# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a whole draft that change columns, in forms that lock a table in use for a moment only. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, column_of, relation_of
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import WITH_COLUMNS, Catalog
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.conversions import Conversion, column_conversion
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.grants import column_grant_changes
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.identities import (
    identity_addition,
    identity_removal,
)
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.names import text_of
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.order import Step
from ansible_collections.pgops.supabase.plugins.module_utils.drafts.steps import Work

VALUES, MAIN, INDEXES, VALIDATION = range(4)
"""The phases: values of enums that later statements use; nearly all; indexes made CONCURRENTLY; what is validated, or needs those."""


class ColumnWork(Work):
    """In it C(before) is the wanted catalog and C(after) the present one."""

    def __init__(
        self,
        wanted: Catalog,
        present: Catalog,
        requires: Mapping[str, Sequence[str]],
        missing_values: Callable[[str, str | None], int] | None,
    ) -> None:
        super().__init__(wanted, present, requires)
        self.missing_values = missing_values or (lambda relation, column: 0)
        self.is_safe = missing_values is not None
        self._anew: set[str] = set()

    def must_be_filled(self, key: str) -> bool:
        """Whether a new column is NOT NULL and nothing would fill it in the rows that there are."""
        told = self.before[key]
        fills = {"default", "identity", "generated"} & told.keys()
        relation = relation_of(CatalogKey.parse(key).name)
        return bool(told["not null"] and not fills and self.is_safe and self.missing_values(relation, None))

    def filled(self, key: str) -> Iterator[Step]:
        """The step that sets a new column NOT NULL where somebody has to fill it first."""
        if self.must_be_filled(key):
            yield self._not_null(key, self.missing_values(relation_of(CatalogKey.parse(key).name), None))

    def _not_null(self, key: str, without: int) -> Step:
        name = CatalogKey.parse(key).name
        statement = f"alter table {relation_of(name)} alter column {column_of(name)} set not null;"
        rows = "row has" if without == 1 else "rows have"
        reason = f"{without} {rows} no value in it; fill them first, then take the comment away"
        return Step("alter", key, (statement,), destroys=reason, phase=VALIDATION)

    def plainly(self, key: str, *leave_out: str) -> None:
        """Alter all but some attributes."""
        then = {name: value for name, value in self.before[key].items() if name not in leave_out}
        now = {name: value for name, value in self.after[key].items() if name not in leave_out}
        if then == now:
            return
        kept = self.before[key], self.after[key], len(self.steps)
        self.before[key], self.after[key] = then, now
        super().alter(key)
        self.before[key], self.after[key] = kept[0], kept[1]
        more = self._column_grants(key) if then.get("privileges") != now.get("privileges") else []
        self.steps[kept[2] :] = [
            replace(step, statements=(*step.statements, *more), phase=MAIN) for step in self.steps[kept[2] :]
        ]

    def _column_grants(self, key: str) -> list[str]:
        """The privileges of a relation's columns: what is revoked on the relation is revoked on them too."""
        name, owner = CatalogKey.parse(key).name, self.before[key].get("owner", "")
        columns = self.before.columns(name) if CatalogKey.parse(key).kind in WITH_COLUMNS else []
        return [
            statement
            for column_key, column, told in columns
            if "privileges" in told and column_key in self.after
            for statement in column_grant_changes(name, column, None, told["privileges"], owner)
        ]

    def alter_column(self, key: str) -> None:
        """Add the steps that change a column: what converts its values by itself, then NOT NULL, then all else."""
        relation = relation_of(CatalogKey.parse(key).name)
        if self._follows_parent(key):
            return
        then, now, leave_out = self.before[key], self.after[key], ["position"]
        if f"table {relation}" in self.before:
            found = [
                identity_removal(key, self.before, self.after),
                column_conversion(key, then, now),
                identity_addition(key, self.before, self.after),
            ]
            done = [conversion for conversion in found if conversion is not None]
            if done:
                self._convert(key, done)
            leave_out += [attribute for conversion in done for attribute in conversion.attributes]
            if self.is_safe and then["not null"] and not now["not null"] and "not null" not in leave_out:
                self.steps += list(self._not_null_safely(key, relation))
                leave_out.append("not null")
        known = len(self.steps)
        self.plainly(key, *leave_out)
        if "identity" in leave_out and any(step.destroys for step in self.steps if step.key == key):
            # As long as it counts by itself, it takes neither a default nor NULL.
            waits = f"it waits for what changes {key}"
            self.steps[known:] = [replace(step, destroys=waits) for step in self.steps[known:]]

    def _not_null_safely(self, key: str, relation: str) -> Iterator[Step]:
        """A check that is validated lets SET NOT NULL look at no row (PostgreSQL 12 and later)."""
        without = self.missing_values(relation, column_of(CatalogKey.parse(key).name))
        if without:
            yield self._not_null(key, without)
            return
        column = column_of(CatalogKey.parse(key).name)
        alter, check = f"alter table {relation}", "pgops_not_null_" + re.sub(r"\W", "_", column)[:40]
        yield Step(
            "alter", key, (f"{alter} add constraint {check} check ({column} is not null) not valid;",), phase=MAIN
        )
        validate = (f"{alter} validate constraint {check};", f"{alter} alter column {column} set not null;")
        yield Step("alter", key, (*validate, f"{alter} drop constraint {check};"), phase=VALIDATION)

    def _follows_parent(self, key: str) -> bool:
        """Whether ALTER TABLE on its parent changes it in the same way."""
        name = CatalogKey.parse(key).name
        parents = self.before.get(f"table {relation_of(name)}", {}).get("inherits") or []
        then, now = self.before[key], self.after[key]
        differs = {n for n in then.keys() | now.keys() if then.get(n) != now.get(n)} - {"position"}
        above = [k for parent in parents if (k := f"column {parent}.{column_of(name)}") in self.changed]
        return any(all(self.before[k].get(n) == then.get(n) for n in differs) for k in above)

    def _convert(self, key: str, done: Sequence[Conversion]) -> None:
        attributes = [attribute for conversion in done for attribute in conversion.attributes]
        reasons = [conversion.destroys for conversion in done if conversion.destroys]
        name = CatalogKey.parse(key).name
        if "identity" in attributes and "identity" in self.before[key]:
            without = self.missing_values(relation_of(name), column_of(name)) if not self.after[key]["not null"] else 0
            reasons += [f"{without} rows have no value in it; fill them first"] if without else []
        self.steps.append(
            Step(
                "alter",
                key,
                tuple(statement for conversion in done for statement in conversion.statements),
                leaves=text_of({name: self.after[key].get(name) for name in attributes}),
                needs=text_of({name: self.before[key].get(name) for name in attributes}),
                destroys="; ".join(reasons) if self.is_safe else "",
                phase=MAIN,
            )
        )
