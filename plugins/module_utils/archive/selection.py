# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which entries of an archive are restored into a target, and in which order; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from ansible_collections.pgops.supabase.plugins.module_utils.archive.content import (
    LARGE_OBJECT,
    LARGE_OBJECT_KINDS,
    Entry,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import BackupError
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.tables import Table

# They tell something of another entry and go with it.
_ABOUT_OTHERS = ("ACL", "COMMENT", "SECURITY LABEL")
_PUBLICATION_MEMBERS = ("PUBLICATION TABLE", "PUBLICATION TABLES IN SCHEMA")
# Made anew where they are missing; PostgreSQL says which are there already.
IF_MISSING = (
    "ACCESS METHOD",
    "CAST",
    "FOREIGN DATA WRAPPER",
    "PROCEDURAL LANGUAGE",
    "SERVER",
    "TRANSFORM",
    "USER MAPPING",
)
# A subscription would begin to fetch; a database's own properties belong to whoever made it.
_NEVER = ("DATABASE", "DATABASE PROPERTIES", "EXTENSION", "SUBSCRIPTION", "SUBSCRIPTION TABLE")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What of an archive goes into a target.

    :param whole: schemas whose every object comes from the archive.
    :param made: those of them that the target does not have yet.
    :param rows_only: schemas of the platform that stay; the rows of their tables come from the archive.
    :param settled: schemas whose owner, grants, default privileges and comment are brought back by comparison.
    :param publications: those to make. Others are there, and only get their tables of the schemas in ``whole`` back.
    :param left: tables whose rows are not restored.
    :param references: for tables of ``rows_only``, the tables that they refer to.
    """

    whole: frozenset[str]
    made: frozenset[str] = frozenset()
    rows_only: frozenset[str] = frozenset()
    settled: frozenset[str] = frozenset()
    publications: frozenset[str] = frozenset()
    event_triggers: frozenset[str] = frozenset()
    left: frozenset[Table] = frozenset()
    references: Mapping[Table, Collection[Table]] = field(default_factory=dict)


def select_entries(entries: Sequence[Entry], selection: Selection) -> list[Entry]:
    """The entries to restore, in order: the archive's, with the platform's tables such that references find their rows."""
    by_id = {entry.dump_id: entry for entry in entries}
    chosen: dict[int, Entry] = {}
    for entry in entries:
        if entry.kind not in _ABOUT_OTHERS and _is_chosen(entry, by_id, selection):
            chosen[entry.dump_id] = entry
    about = [
        entry
        for entry in entries
        if entry.kind in _ABOUT_OTHERS and _is_about(entry, chosen.keys() & set(entry.depends_on), by_id, selection)
    ]
    wanted = chosen.keys() | {entry.dump_id for entry in about}
    return _in_order_of_references([entry for entry in entries if entry.dump_id in wanted], selection)


def _is_chosen(entry: Entry, by_id: Mapping[int, Entry], selection: Selection) -> bool:
    if entry.kind in _NEVER:
        return False
    if entry.kind == "SCHEMA":
        return entry.name in selection.made
    if entry.kind == "PUBLICATION":
        return entry.name in selection.publications
    if entry.kind in _PUBLICATION_MEMBERS:
        publications = {by_id[n].name for n in entry.depends_on if n in by_id and by_id[n].kind == "PUBLICATION"}
        if publications & selection.publications:
            return True
        return entry.kind == "PUBLICATION TABLE" and entry.schema in selection.whole
    if entry.kind == "EVENT TRIGGER":
        return entry.name in selection.event_triggers
    if entry.kind == "DEFAULT ACL":
        return entry.schema in selection.made - selection.settled
    if entry.kind in LARGE_OBJECT_KINDS or entry.kind in IF_MISSING:
        return True
    if entry.schema is None:
        return False
    if entry.kind == "TABLE DATA" and (entry.schema, entry.name) in selection.left:
        return False
    if entry.kind in ("TABLE DATA", "SEQUENCE SET") and entry.schema in selection.rows_only:
        return True
    return entry.schema in selection.whole


def _is_about(entry: Entry, told_of: Collection[int], by_id: Mapping[int, Entry], selection: Selection) -> bool:
    """An access list or comment goes with what it tells of. Those of schemas that are settled come by comparison."""
    if not told_of:
        # A large object has no heading to refer to, and all of them are restored.
        return not entry.depends_on and entry.name.startswith(LARGE_OBJECT)
    return not any(by_id[n].kind == "SCHEMA" and by_id[n].name in selection.settled for n in told_of)


def _in_order_of_references(entries: Sequence[Entry], selection: Selection) -> list[Entry]:
    """The rows of the platform's tables in the places they had, such that what is referred to comes first."""

    def is_platform(entry: Entry) -> bool:
        return entry.kind == "TABLE DATA" and entry.schema in selection.rows_only

    platform = {(entry.schema or "", entry.name): entry for entry in entries if is_platform(entry)}
    ordered = iter([platform[table] for table in load_order(platform, selection.references)])
    return [next(ordered) if is_platform(entry) else entry for entry in entries]


def load_order(tables: Iterable[Table], references: Mapping[Table, Collection[Table]]) -> list[Table]:
    """Tables such that each comes after those that it refers to; a table may refer to itself.

    :raises BackupError: when tables refer to each other in a circle.
    """
    loaded = dict.fromkeys(tables)
    before = {t: [r for r in references.get(t, ()) if r in loaded and r != t] for t in loaded}
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError as error:
        names = ", ".join(f"{schema}.{table}" for schema, table in error.args[1][:-1])
        raise BackupError(
            f"These tables of the platform refer to each other in a circle, so none can be loaded first: {names}",
            next_step="Connect as a role that may set session_replication_role, or restore with platform_data: false.",
        ) from error
