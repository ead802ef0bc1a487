# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each object that differs between two projects, once, with its direction, risk, impact and cause. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Optional

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.ddl import requoted
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.documents import CatalogChange
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.key import CatalogKey, relation_of
from ansible_collections.pgops.supabase.plugins.module_utils.catalog.model import (
    WITH_COLUMNS,
    Catalog,
    compare_catalogs,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import (
    RISKS,
    Difference,
    Direction,
    Impact,
    Side,
    TableRows,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.history import Migration
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.identity import (
    Identity,
    identity_of_key,
    keys_of_effect,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.risk import Compared, rate

Rows = Optional[Mapping[str, int]]
# From the target to the source: what the source has more would be created on the target.
_DIRECTIONS: Mapping[str, Direction] = {"created": "only_source", "dropped": "only_target", "changed": "differs"}
_ON_TABLE = re.compile(r' ON (?:ONLY )?((?:"(?:[^"]|"")*"|[^\s."(]+)\.(?:"(?:[^"]|"")*"|[^\s."(]+))')
_WORD = re.compile(r'"(?:[^"]|"")*"|\w+')


class Differences:
    """Compares the target with the source.

    :param names: of source and target.
    :param rows: exact rows by table, of source and target.
    """

    def __init__(
        self,
        source: Catalog,
        target: Catalog,
        *,
        names: tuple[str, str],
        rows: tuple[Rows, Rows] = (None, None),
        migrations: Iterable[Migration] = (),
    ) -> None:
        self._source, self._target = _in_one_order(source, target)
        self._names, self._rows = names, rows
        self._causes = _causes(migrations)

    def of_schema(self) -> list[Difference]:
        """Each object of the catalogs that differs; what belongs to a relation that is on one side only is a part of it."""
        changes = {f"{c.object_type} {c.object_name}": c for c in compare_catalogs(self._target, self._source)}
        parts: dict[str, list[str]] = {}
        for key, change in changes.items():
            whole = self._whole(key, change, changes)
            if whole is not None:
                parts.setdefault(whole, []).append(key)
        folded = {part for some in parts.values() for part in some}
        found = [
            self._difference(key, change, parts.get(key, [])) for key, change in changes.items() if key not in folded
        ]
        return by_severity(found)

    def of_cron_jobs(
        self, source: Mapping[str, Mapping[str, Any]], target: Mapping[str, Mapping[str, Any]]
    ) -> list[Difference]:
        """The jobs of pg_cron that differ. Their commands are not told: such text holds keys often enough."""
        found = []
        for name in sorted(source.keys() | target.keys()):
            one, other = source.get(name), target.get(name)
            if one != other:
                direction: Direction = "only_target" if one is None else "only_source" if other is None else "differs"
                differing = [k for k in (one or {}) if other is not None and (one or {})[k] != other.get(k)]
                detail = ", ".join(
                    k if k == "command" else f"{k}: {other[k]} -> {one[k]}" for k in differing if one and other
                )
                found.append(self._rated("cron job", name, direction, detail, one, other, differing, None))
        return found

    def of_rows(self, tables: Sequence[str]) -> list[Difference]:
        """The tables that have to have equally many rows on both sides, and have not."""
        source, target = self._rows
        found = []
        for table in map(_with_schema, tables):
            one, other = (source or {}).get(table), (target or {}).get(table)
            if source is not None and target is not None and one != other and one is not None and other is not None:
                found.append(
                    Difference(
                        object_type="rows",
                        object_name=table,
                        direction="differs",
                        detail=f"{other} -> {one}",
                        risk="availability",
                        reason=f"The application finds other entries on {self._names[0]} than on {self._names[1]}.",
                        impact=Impact(table=table, source_rows=one, target_rows=other),
                    )
                )
        return found

    def _whole(self, key: str, change: CatalogChange, changes: Mapping[str, CatalogChange]) -> str | None:
        """The relation or schema that an object came or went with."""
        if change.change == "changed":
            return None
        definition = (self._source if change.change == "created" else self._target)[key]
        parsed = CatalogKey.parse(key)
        on = parsed.on
        if parsed.kind in ("index", "statistics"):
            match = _ON_TABLE.search(str(definition.get("definition", "")))
            on = match[1] if match else ""
        elif parsed.kind == "sequence":
            on = relation_of(str(definition.get("owned by", "")))
        for kind in sorted(WITH_COLUMNS | {"domain"}) if on else ():
            whole = changes.get(f"{kind} {on}")
            if whole is not None and whole.change == change.change:
                return f"{kind} {on}"
        if parsed.kind in ("index", "statistics", "constraint") and on:
            return self._column_of(str(definition.get("definition", "")), on, change, changes)
        return None

    def _column_of(
        self, definition: str, on: str, change: CatalogChange, changes: Mapping[str, CatalogChange]
    ) -> str | None:
        """The column that came or went and took along an index or a constraint that names it."""
        for word in dict.fromkeys(_WORD.findall(definition.rpartition(f"{on} ")[2])):
            column = changes.get(f"column {on}.{word}")
            if column is not None and column.change == change.change:
                return f"column {on}.{word}"
        return None

    def _difference(self, key: str, change: CatalogChange, parts: list[str]) -> Difference:
        one, other = self._source.get(key), self._target.get(key)
        attributes = sorted(
            k for k in (one or {}).keys() | (other or {}).keys() if (one or {}).get(k) != (other or {}).get(k)
        )
        table = self._table_of(key)
        return self._rated(
            change.object_type,
            change.object_name,
            _DIRECTIONS[change.change],
            change.detail,
            one,
            other,
            attributes if one is not None and other is not None else [],
            self._impact(table) if table else None,
            holds_rows=change.object_type != "column" or f"table {table}" in self._target,
            cause=self._cause(key, table, _DIRECTIONS[change.change]),
            parts=sorted(parts),
        )

    def _rated(
        self,
        kind: str,
        name: str,
        direction: Direction,
        detail: str,
        source: Mapping[str, Any] | None,
        target: Mapping[str, Any] | None,
        attributes: Sequence[str],
        impact: Impact | None,
        *,
        holds_rows: bool = True,
        **more: Any,
    ) -> Difference:
        risk, reason = rate(Compared(kind, direction, source, target, attributes, impact, self._names, holds_rows))
        return Difference(
            object_type=kind,
            object_name=name,
            direction=direction,
            detail=detail,
            risk=risk,
            reason=reason,
            impact=impact,
            **more,
        )

    def _table_of(self, key: str) -> str:
        """The table whose rows a difference is about; empty where there is none."""
        parsed = CatalogKey.parse(key)
        if parsed.kind == "table":
            return parsed.name
        if parsed.kind in ("index", "statistics"):
            definition = (self._source.get(key) or self._target.get(key) or {}).get("definition", "")
            match = _ON_TABLE.search(str(definition))
            return match[1] if match else ""
        return parsed.on

    def _impact(self, table: str) -> Impact | None:
        name = requoted(table)
        one, other = ((rows or {}).get(name) for rows in self._rows)
        if one is None and other is None:
            return None
        return Impact(table=name, source_rows=one, target_rows=other)

    def _cause(self, key: str, table: str, direction: Direction) -> str | None:
        """The migration that makes, changes or drops the object; else one of the side that has it, of which its table is."""
        what = identity_of_key(key)
        exact = self._causes["source"].get(what) or self._causes["target"].get(what)
        if exact or not table or direction == "differs":
            return exact
        return self._causes["source" if direction == "only_source" else "target"].get(identity_of_key(f"table {table}"))


def _in_one_order(source: Catalog, target: Catalog) -> tuple[Catalog, Catalog]:
    """The catalogs without the places of columns whose order is the same: one more before them is told by that one alone."""
    both = [key for key in source if key.startswith("column ") and key in target]
    common: dict[str, list[str]] = {
        CatalogKey.parse(key).on: [] for key in both if source[key]["position"] != target[key]["position"]
    }
    if not common:
        return source, target
    of_these = tuple(f"column {relation}." for relation in common)
    for key in both:
        if key.startswith(of_these):
            common[CatalogKey.parse(key).on].append(key)
    moved: Catalog = {}
    for keys in common.values():
        if sorted(keys, key=lambda k: source[k]["position"]) == sorted(keys, key=lambda k: target[k]["position"]):
            moved |= {key: {**target[key], "position": source[key]["position"]} for key in keys}
    return source, {**target, **moved}


def rows_of_tables(source: Rows, target: Rows) -> list[TableRows]:
    """The exact rows of each table, side by side."""
    one, other = source or {}, target or {}
    return [
        TableRows(table=name, source=one.get(name), target=other.get(name))
        for name in sorted(one.keys() | other.keys())
    ]


def by_severity(differences: Iterable[Difference]) -> list[Difference]:
    """The worst first; of one risk by kind and name."""
    return sorted(differences, key=lambda d: (RISKS.index(d.risk), d.object_type, d.object_name))


def _causes(migrations: Iterable[Migration]) -> dict[Side, dict[Identity, str]]:
    """For each side what its own migrations touch: those that are applied on that side only, or otherwise there."""
    causes: dict[Side, dict[Identity, str]] = {"source": {}, "target": {}}
    for migration in migrations:
        touched = set(migration.effects.touched)
        for event in migration.events.values():
            touched |= {identity_of_key(key) for key in keys_of_effect(event.details.get("catalog_changes") or [])}
        for side in migration.rows:
            causes[side] |= dict.fromkeys(touched, migration.label)
    return causes


def _with_schema(table: str) -> str:
    return requoted(table if "." in table else f"public.{table}")
