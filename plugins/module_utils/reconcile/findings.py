# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What disagrees between git and two histories, each with its proof, the next command and what that would change. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from functools import cached_property

from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.documents import (
    Direction,
    HistoryFinding,
    Side,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.history import (
    PROOFS,
    SIDES,
    Migration,
    Pair,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.identity import (
    Identity,
    by_identity,
    keys_of_effect,
    the_same,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.reading import ProjectState

_ONLY: Mapping[Side, Direction] = {"source": "only_source", "target": "only_target"}
_OTHER: Mapping[Side, Side] = {"source": "target", "target": "source"}
_ROWS_ONLY = "rows of supabase_migrations.schema_migrations on {0}; no object, no row of a table"


def playbook(name: str, project: str, *options: str) -> str:
    """A playbook's command for a project."""
    return " ".join([f"ansible-playbook pgops.supabase.{name} -l {shlex.quote(project)}", *options])


def repair(*changes: tuple[str, str]) -> str:
    """The Supabase CLI's commands that change the history and nothing else; each is a status and a version."""
    # A version is what a project's table says, where anything may stand.
    return " && ".join(
        f"supabase migration repair --linked --status {status} {shlex.quote(version)}" for status, version in changes
    )


class Findings:
    """Looks through the migrations; what a pair explains is not said again of its versions."""

    def __init__(self, found: Mapping[str, Migration], paired: list[Pair], states: Mapping[Side, ProjectState]) -> None:
        self._found, self._pairs, self._states = found, paired, states
        self._names = {side: state.name for side, state in states.items()}

    @cached_property
    def _identities(self) -> dict[Side, dict[Identity, list[str]]]:
        """The objects of each project by what text calls them; of a large schema only where a file asks for them."""
        return {side: by_identity(state.catalog) for side, state in self._states.items()}

    def all(self) -> list[HistoryFinding]:
        """Every finding, in the order of versions; of one version first what is nearest to its own history."""
        made = [finding for pair in self._pairs for finding in self._of_pair(pair)]
        explained = {migration.version for pair in self._pairs for migration in (pair.kept, pair.other)}
        for pair in self._pairs:
            kept, other = pair.kept, pair.other
            both = Migration(
                kept.version, kept.file or other.file, {**other.rows, **kept.rows}, {**other.events, **kept.events}
            )
            made += self._one_sided(both) if not both.everywhere else []
        for migration in self._found.values():
            if migration.version not in explained and not migration.everywhere:
                made += self._one_sided(migration)
            made += self._edited(migration)
        made += self._half_done()
        return sorted(made, key=lambda finding: (finding.version, finding.on))

    def _of_pair(self, pair: Pair) -> Iterator[HistoryFinding]:
        kept, other = pair.kept, pair.other
        if pair.shared:
            yield from self._duplicate(pair)
            return
        for side in SIDES:
            if side in other.rows:
                yield self._renumbered(pair, side)
        if not other.rows and kept.rows:
            # Git has a version that no project knows, and the projects the same under another one.
            for side in kept.rows:
                yield self._renumbered(Pair(other, kept, pair.proof), side)

    def _renumbered(self, pair: Pair, side: Side) -> HistoryFinding:
        kept, other, name = pair.kept, pair.other, self._names[side]
        sure = pair.proof != "name"
        changes = (("reverted", other.version), ("applied", kept.version))
        where = "git" if kept.file else self._names[_OTHER[side]]
        return HistoryFinding(
            finding="renumbered",
            version=other.version,
            other_version=kept.version,
            name=other.name,
            on=side,
            direction="differs",
            risk="availability",
            reason=f"The next push would apply {kept.label} on {name} again, or be refused there.",
            evidence=f"{name} has as {other.label} what {where} has as {kept.label}: {PROOFS[pair.proof]}; "
            f"the row of {other.version} says {_told(other, side)}",
            next_command=repair(*changes) if sure else playbook("plan", name),
            would_change=(
                f"two {_ROWS_ONLY.format(name)}; the playbook adopt takes them into the ledger"
                if sure
                else "nothing yet: a person has to compare the two texts first"
            ),
        )

    def _duplicate(self, pair: Pair) -> Iterator[HistoryFinding]:
        kept, other = pair.kept, pair.other
        for side in SIDES:
            if other.file is None and side in other.rows and side in kept.rows:
                yield self._twice(pair, side)
            elif other.file is not None and side not in other.rows and side in kept.rows:
                yield self._would_be_twice(pair, side)

    def _twice(self, pair: Pair, side: Side) -> HistoryFinding:
        kept, other, name = pair.kept, pair.other, self._names[side]
        return HistoryFinding(
            finding="duplicate",
            version=other.version,
            other_version=kept.version,
            name=other.name,
            on=side,
            direction="differs" if len(other.rows) == 2 else _ONLY[side],
            risk="availability",
            reason=f"{name} was given the same statements twice, and git has them once.",
            evidence=f"{other.label} and {kept.label} are both applied on {name}: {PROOFS[pair.proof]}; "
            f"the row of {other.version} says {_told(other, side)}",
            next_command=repair(("reverted", other.version)),
            would_change=f"one of the {_ROWS_ONLY.format(name)}",
        )

    def _would_be_twice(self, pair: Pair, side: Side) -> HistoryFinding:
        kept, other, name = pair.kept, pair.other, self._names[side]
        return HistoryFinding(
            finding="duplicate",
            version=other.version,
            other_version=kept.version,
            name=other.name,
            on=side,
            direction="only_git" if not other.rows else _ONLY[_OTHER[side]],
            risk="availability",
            reason=f"The next migrate would give {name} the same statements a second time.",
            evidence=f"the file {other.label} repeats {kept.label}, which is applied on {name}: {PROOFS[pair.proof]}",
            next_command=repair(("applied", other.version)),
            would_change=f"one of the {_ROWS_ONLY.format(name)}",
        )

    def _one_sided(self, migration: Migration) -> Iterator[HistoryFinding]:
        missing = [side for side in SIDES if side not in migration.rows]
        if migration.file is None:
            yield self._without_file(migration)
            return
        by_hand = [finding for side in missing if (finding := self._by_hand(migration, side))]
        if by_hand:
            yield from by_hand
        elif len(missing) == 2:
            yield self._not_applied(migration)
        else:
            yield self._pending(migration, missing[0])

    def _without_file(self, migration: Migration) -> HistoryFinding:
        sides = [side for side in SIDES if side in migration.rows]
        names = " and ".join(self._names[side] for side in sides)
        one = len(sides) == 1
        return HistoryFinding(
            finding="without_file",
            version=migration.version,
            name=migration.name,
            on=sides[0],
            direction=_ONLY[sides[0]] if one else "differs",
            risk="availability",
            reason=f"What {names} {'has' if one else 'have'} cannot be made again from git, and the Supabase CLI refuses to push.",
            evidence=f"{migration.label} is applied on {names} and has no file in git; its row says {_told(migration, sides[0])}",
            next_command=f"supabase migration fetch --linked   # linked to {self._names[sides[0]]}",
            would_change="files in supabase/migrations; nothing in a database",
        )

    def _not_applied(self, migration: Migration) -> HistoryFinding:
        source, target = self._names["source"], self._names["target"]
        return HistoryFinding(
            finding="not_applied",
            version=migration.version,
            name=migration.name,
            on="source",
            direction="only_git",
            risk="availability",
            reason="An application that was released with this file does not find what it makes.",
            evidence=f"the file {migration.label} is applied neither on {source} nor on {target}",
            next_command=playbook("migrate", source, *self._out_of_order(migration, "source")),
            would_change=f"{source}: what the file says; then the same is pending on {target}",
        )

    def _pending(self, migration: Migration, side: Side) -> HistoryFinding:
        name, other = self._names[side], self._names[_OTHER[side]]
        options = self._out_of_order(migration, side)
        late = f", and {name} has a later version already" if options else ""
        return HistoryFinding(
            finding="out_of_order" if options else "pending",
            version=migration.version,
            name=migration.name,
            on=side,
            direction=_ONLY[_OTHER[side]],
            risk="availability",
            reason=f"What works on {other} fails on {name} where it needs what this file makes.",
            evidence=f"{migration.label} is applied on {other} and not on {name}{late}",
            next_command=playbook("migrate", name, *options),
            would_change=f"{name}: what the file says, in one transaction with its checks",
        )

    def _out_of_order(self, migration: Migration, side: Side) -> list[str]:
        newest = max((row.version for row in self._states[side].history if row.version.isdigit()), default="")
        return ["-e preflight_allow_out_of_order=true"] if migration.version < newest else []

    def _by_hand(self, migration: Migration, side: Side) -> HistoryFinding | None:
        """Whether a project has what a file makes, although its history does not say so."""
        name, other = self._names[side], _OTHER[side]
        keys, evidence = self._there(migration, side)
        if not keys:
            return None
        proven = other in migration.rows and the_same(keys, self._states[side].catalog, self._states[other].catalog)
        if other in migration.rows and not proven:
            return self._otherwise_by_hand(migration, side, keys)
        proof = (
            f"each is what it is on {self._names[other]}, where it is applied"
            if proven
            else "compare them with the file"
        )
        return HistoryFinding(
            finding="by_hand",
            version=migration.version,
            name=migration.name,
            on=side,
            direction=_ONLY[other] if other in migration.rows else "only_git",
            risk="availability",
            reason=f"The next migrate fails on {name}: the objects are there already.",
            evidence=f"{name} has {evidence} of {migration.label}, which its history does not have; {proof}",
            next_command=repair(("applied", migration.version)),
            would_change=f"one of the {_ROWS_ONLY.format(name)}; the playbook adopt takes it into the ledger",
        )

    def _otherwise_by_hand(self, migration: Migration, side: Side, keys: list[str]) -> HistoryFinding:
        name, other = self._names[side], self._names[_OTHER[side]]
        return HistoryFinding(
            finding="by_hand",
            version=migration.version,
            name=migration.name,
            on=side,
            direction="differs",
            risk="availability",
            reason=f"The next migrate fails on {name}: objects of that name are there, and are not what the file makes.",
            evidence=f"{name} has {_listed(keys)} as {migration.label} makes them by name, but not as they are on {other}",
            next_command=playbook("reconcile", self._names["target"], "-e reconcile_bridge=true"),
            would_change="nothing yet: it drafts the SQL that makes the two equal, for review",
        )

    def _there(self, migration: Migration, side: Side) -> tuple[list[str], str]:
        """The keys of what the migration makes, where all of it is there, and how that is known."""
        made = self._of_no_other(migration, side)
        known = self._identities[side] if made else {}
        if made and all(what in known for what in made):
            keys = sorted(key for what in made for key in known[what])
            return keys, f"all {len(made)} objects" if len(made) > 1 else f"the one object ({keys[0]})"
        # By effect: the other project's ledger says what the file changed there, and here it is the same.
        event = migration.events.get(_OTHER[side])
        keys = keys_of_effect((event.details.get("catalog_changes") or []) if event else [])
        there = [key for key in keys if key in self._states[side].catalog]
        if not made and there and the_same(keys, self._states["source"].catalog, self._states["target"].catalog):
            return there, f"the whole effect ({len(keys)} objects)"
        return [], ""

    def _of_no_other(self, migration: Migration, side: Side) -> set[Identity]:
        """What the migration makes, less what one that is applied there has made or changed as well."""
        rest = set(migration.effects.made)
        for other in self._found.values():
            if rest and side in other.rows and other is not migration:
                rest -= other.effects.touched
        return rest

    def _edited(self, migration: Migration) -> Iterator[HistoryFinding]:
        edited = [side for side in SIDES if self._is_edited(migration, side)]
        for side in edited:
            yield self._edited_finding(migration, side)
        one, two = migration.statements("source"), migration.statements("target")
        if not edited and one is not None and two is not None and one != two:
            yield HistoryFinding(
                finding="recorded_otherwise",
                version=migration.version,
                name=migration.name,
                on="target",
                direction="differs",
                risk="availability",
                reason="The version stands for two texts, and each project ran another one.",
                evidence=f"{migration.label} is applied on both with other statements",
                next_command=playbook("reconcile", self._names["target"], "-e reconcile_bridge=true"),
                would_change="nothing yet: it drafts the SQL that makes the two equal, for review",
            )

    def _is_edited(self, migration: Migration, side: Side) -> bool:
        if migration.file is None or side not in migration.rows:
            return False
        if (event := migration.events.get(side)) is not None:
            return event.sha256 != migration.file.sha256
        recorded = migration.statements(side)
        return recorded is not None and recorded != migration.statements("git")

    def _edited_finding(self, migration: Migration, side: Side) -> HistoryFinding:
        if migration.file is None:
            raise AssertionError("only a file is edited")
        name = self._names[side]
        same_sql = migration.statements(side) == migration.statements("git")
        what = "other comments or spaces" if same_sql else "other statements"
        return HistoryFinding(
            finding="edited",
            version=migration.version,
            name=migration.name,
            on=side,
            direction="differs",
            risk="cosmetic" if same_sql else "availability",
            reason=(
                "The file's hash is not that of the ledger, so that the next run stops at it."
                if same_sql
                else f"A project that is made from git is not what {name} is."
            ),
            evidence=f"the file {migration.label} has {what} than those that were applied on {name}",
            next_command=f"git log -p -- {shlex.quote(f'supabase/migrations/{migration.file.path.name}')}",
            would_change="nothing: it shows the text as it was; restore it, and put the change into a new migration",
        )

    def _half_done(self) -> Iterator[HistoryFinding]:
        for side, state in self._states.items():
            for half in state.half_done:
                migration = self._found.get(half.version, Migration(half.version))
                yield HistoryFinding(
                    finding="half_done",
                    version=half.version,
                    name=migration.name,
                    on=side,
                    direction=_ONLY[side],
                    risk="availability",
                    reason=f"{state.name} has only the first part of what the file makes.",
                    evidence=f"{half.finished} statements of {migration.label} are done on {state.name}, and it was cut short",
                    next_command=playbook("migrate", state.name),
                    would_change=f"{state.name}: the rest of the file",
                )


def _told(migration: Migration, side: Side) -> str:
    """What the row of a history says, in figures."""
    row = migration.rows.get(side)
    if row is None:
        return "nothing"
    if row.statements is None:
        return "no statements"
    return f"name {row.name or 'none'}, {len(row.statements)} statement{'' if len(row.statements) == 1 else 's'}"


def _listed(keys: list[str], most: int = 5) -> str:
    return ", ".join(keys[:most]) + (f" and {len(keys) - most} more" if len(keys) > most else "")
