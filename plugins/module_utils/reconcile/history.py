# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Three histories side by side, git's files and two projects': which of their migrations are the same, and which are not. Pure.

Two versions are the same migration where their statements are equal; where both ledgers know the same hash or the same change of
the catalog; or, and then it is only likely, where they have the same name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import HistoryRow, LedgerEvent
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import (
    MigrationFile,
    read_as_others_do,
    recorded_statements,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import Place, Side
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.identity import Effects, effects_of_text
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.reading import ProjectState

SIDES: tuple[Side, Side] = ("source", "target")
Proof = Literal["statements", "file", "effect", "name"]
PROOFS: Mapping[Proof, str] = {
    "statements": "their statements are equal",
    "file": "both ledgers have the same SHA-256 of their file",
    "effect": "both ledgers have the same change of the catalog",
    "name": "they have the same name, but not the same statements",
}


@dataclass
class Migration:
    """One version, wherever it is."""

    version: str
    file: MigrationFile | None = None
    rows: dict[Side, HistoryRow] = field(default_factory=dict)
    events: dict[Side, LedgerEvent] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name that git gives it, else one of the projects."""
        return self.file.name if self.file else next((row.name for row in self.rows.values() if row.name), "")

    @property
    def label(self) -> str:
        """Version and name."""
        return f"{self.version}_{self.name}" if self.name else self.version

    @property
    def places(self) -> frozenset[Place]:
        """Where it is."""
        git: set[Place] = {"git"} if self.file else set()
        return frozenset(git | set(self.rows))

    @property
    def everywhere(self) -> bool:
        """Whether it is in git and applied on both."""
        return len(self.places) == 3

    @cached_property
    def effects(self) -> Effects:
        """What its text makes, and all that it names in whatever text it was applied by."""
        texts: list[Sequence[str]] = [[read_as_others_do(self.file.path)]] if self.file else []
        known = {self._of_git}
        for side, row in self.rows.items():
            if row.statements and self.statements(side) not in known:
                texts.append(row.statements)
                known.add(self.statements(side))
        each = [effects_of_text(text) for text in texts]
        return Effects(each[0].made if each else frozenset(), frozenset().union(*(one.touched for one in each)))

    def statements(self, place: Place) -> tuple[str, ...] | None:
        """What identifies its SQL in one place; None where that is not known there."""
        if place == "git":
            return self._of_git
        row = self.rows.get(place)
        return None if row is None or row.statements is None else recorded_statements(row.statements)

    @cached_property
    def _of_git(self) -> tuple[str, ...] | None:
        return recorded_statements([read_as_others_do(self.file.path)]) if self.file else None

    @cached_property
    def all_statements(self) -> frozenset[tuple[str, ...]]:
        """Its SQL in every place where it is known and is any."""
        return frozenset(filter(None, (self.statements(place) for place in self.places)))


@dataclass(frozen=True)
class Pair:
    """Two versions of one migration; ``kept`` is the one to keep, ``other`` the one that is too many, or misnamed."""

    kept: Migration
    other: Migration
    proof: Proof

    @property
    def shared(self) -> frozenset[Place]:
        """The places that have both: there it is a duplicate."""
        return self.kept.places & self.other.places


def migrations(files: Sequence[MigrationFile], states: Mapping[Side, ProjectState]) -> dict[str, Migration]:
    """Each version of git and of the two projects, in order."""
    found: dict[str, Migration] = {file.version: Migration(file.version, file) for file in files}
    for side, state in states.items():
        for row in state.history:
            found.setdefault(row.version, Migration(row.version)).rows[side] = row
        for version, event in state.events.items():
            if version in found and side in found[version].rows:
                found[version].events[side] = event
    return dict(sorted(found.items()))


def pairs(found: Mapping[str, Migration]) -> list[Pair]:
    """The versions that are one migration, of those that are not everywhere; each stands in one pair at most as the other one."""
    made: list[Pair] = []
    paired: set[str] = set()
    for proof in PROOFS:
        for other in found.values():
            if other.everywhere or other.version in paired:
                continue
            for kept in _candidates(found, other, proof, paired):
                first, second = _ordered(kept, other)
                made.append(Pair(first, second, proof))
                paired |= {second.version} if first.everywhere else {first.version, second.version}
                break
    return sorted(made, key=lambda pair: pair.other.version)


def _candidates(
    found: Mapping[str, Migration], other: Migration, proof: Proof, paired: set[str]
) -> Iterator[Migration]:
    """What may be the same migration as one that is not everywhere, those that are everywhere first."""
    rest = [m for m in found.values() if m.version != other.version and (m.everywhere or m.version not in paired)]
    for kept in sorted(rest, key=lambda m: not m.everywhere):
        apart = not kept.places & other.places
        if proof == "statements":
            if kept.all_statements & other.all_statements:
                yield kept
        elif apart and _same_in_ledgers(kept, other, proof):
            yield kept


def _same_in_ledgers(one: Migration, other: Migration, proof: Proof) -> bool:
    """Whether two versions in different places are one, by what the ledgers have of them, or by name."""
    if proof == "name":
        return bool(one.name) and one.name == other.name
    for first in one.events.values():
        for second in other.events.values():
            if proof == "file" and first.sha256 == second.sha256:
                return True
            changes = first.details.get("catalog_changes")
            if proof == "effect" and changes and changes == second.details.get("catalog_changes"):
                return True
    return False


def _ordered(one: Migration, other: Migration) -> tuple[Migration, Migration]:
    """The version to keep first: git's, else the source's, else the earlier one."""
    both = sorted((one, other), key=lambda m: (not m.everywhere, m.file is None, "source" not in m.rows, m.version))
    return both[0], both[1]
