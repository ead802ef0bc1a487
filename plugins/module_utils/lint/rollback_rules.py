# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The linter's rules on rollbacks: there is one, it takes back all of the migration, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import Position, SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.lint.batch import LintBatch, LintFile, finding
from ansible_collections.pgops.supabase.plugins.module_utils.lint.documents import LintFinding
from ansible_collections.pgops.supabase.plugins.module_utils.lint.groups import in_project
from ansible_collections.pgops.supabase.plugins.module_utils.sql.concurrently import runs_without_concurrently
from ansible_collections.pgops.supabase.plugins.module_utils.sql.effects import (
    Created,
    created_by,
    dropped_by,
    emptied_by,
    written_by,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import runnable_rollback
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Script
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import DatabaseObject


def missing_rollback(batch: LintBatch) -> Iterator[LintFinding]:
    """A migration without a way back by SQL."""
    for file in batch.files:
        if file.rollback is None:
            yield finding(
                "missing-rollback",
                "warning",
                Position(file.script.file, 1, 1),
                "There is no rollback: after a failure only the restore of a backup leads back",
                f"Write {in_project(file.rollback_path)}, or waive this with the reason why there is no way back.",
            )


def rollback_cannot_run(batch: LintBatch) -> Iterator[LintFinding]:
    """Rollbacks that would be refused when they are needed, because they cannot be one transaction."""
    for file in batch.files:
        if file.rollback is None:
            continue
        try:
            runnable_rollback(file.rollback)
        except SqlScriptError as error:
            place = error.where if isinstance(error.where, Position) else Position(file.rollback.file, 1, 1)
            yield finding("rollback-cannot-run", "warning", place, error.what, error.next_step or "")
        for statement in filter(runs_without_concurrently, file.rollback.statements):
            yield finding(
                "rollback-locks",
                "notice",
                statement,
                "The rollback is one transaction, so this runs without CONCURRENTLY, and whoever needs the table waits until it is over",
                "Nothing to do, unless the table is large and busy: then leave the index to a migration of its own.",
            )


def rollback_loses_data(batch: LintBatch) -> Iterator[LintFinding]:
    """Rollbacks that take away more than their migration brought."""
    for file in batch.files:
        if file.rollback is not None:
            yield from _losses(batch, file, file.rollback)


def _losses(batch: LintBatch, file: LintFile, rollback: Script) -> Iterator[LintFinding]:
    made = {c.what for s in file.script.statements for c in created_by(s)}
    made |= {c.what for s in rollback.statements for c in created_by(s)}
    filled = {table for s in file.script.statements if (table := written_by(s))}
    for statement in rollback.statements:
        for dropped in dropped_by(statement):
            what = dropped.what
            if what.kind not in ("table", "column", "schema") or dropped.renamed or what.owner in made:
                continue
            if what in made:
                yield finding(
                    "rollback-loses-data",
                    "notice",
                    statement,
                    f"What was written to {what} since the migration goes with it",
                    "Nothing to do: the rollback exports it to a file before it drops it.",
                )
            elif _is_there(batch, what):
                yield finding(
                    "rollback-loses-data",
                    "warning",
                    statement,
                    f"The rollback drops {what}, which the migration did not create: data from before it {_goes(batch, what)}",
                    "Take it out of the rollback, or create it in the migration; what goes is exported to a file first.",
                )
        for table, all_rows in emptied_by(statement):
            if table in made:
                continue
            own_rows = table in filled and not all_rows
            yield finding(
                "rollback-loses-data",
                "warning",
                statement,
                f"The rollback deletes rows of {table}, "
                + ("which the migration writes, too" if own_rows else "which the migration did not create"),
                (
                    "Make sure that its condition meets the migration's own rows only."
                    if own_rows
                    else "Delete only the rows that the migration inserted, by their keys."
                ),
            )


def _goes(batch: LintBatch, what: DatabaseObject) -> str:
    """What becomes of data from before the migration, as far as the database was seen to hold any."""
    return "goes with it, and there is some now" if batch.holds_data(what) else "would be lost"


def _is_there(batch: LintBatch, what: DatabaseObject) -> bool:
    """Whether something is there before the migration; without a database, and where it could not be looked at, it may be.

    What a DO block of the migration makes is not there.
    """
    facts = batch.facts
    if facts is None or what in batch.created or {what, what.owner} & facts.unknown.keys():
        return True
    if what.kind == "schema":
        return what in facts.contained
    table = facts.tables.get(what.owner or what)
    return table is not None and (what.kind == "table" or what.name in table.columns)


def rollback_incomplete(batch: LintBatch) -> Iterator[LintFinding]:
    """What a migration creates or drops and its rollback does not take back."""
    for file in batch.files:
        if file.rollback is not None:
            yield from _left_behind(file, file.rollback)


def _left_behind(file: LintFile, rollback: Script) -> Iterator[LintFinding]:
    taken_back = {d.what for s in rollback.statements for d in dropped_by(s)}
    taken_back |= {c.what for s in rollback.statements for c in created_by(s)}
    dropped_schemas = {what.name for what in taken_back if what.kind == "schema"}
    in_do_blocks = " ".join(s.sql.lower() for s in rollback.statements if s.tag == "DoStmt")

    def is_taken_back(created: Created) -> bool:
        what, table = created.what, created.on or created.what.owner
        parts = [DatabaseObject("column", table.schema, c, table.name) for c in created.columns] if table else []
        return (
            what in taken_back
            or table in taken_back
            or any(part in taken_back for part in parts)
            or what.schema in dropped_schemas
            or (table is not None and table.schema in dropped_schemas)
            or what.name.lower() in in_do_blocks
        )

    for created in _there_afterwards(file.script):
        if not is_taken_back(created):
            yield finding(
                "rollback-incomplete",
                "warning",
                created.statement,
                f"The migration creates {created.what}, and the rollback does not take it back",
                f"Drop it, or restore what was there before, in {in_project(file.rollback_path)}.",
            )
    remade = {c.what for s in file.script.statements for c in created_by(s)}
    restored = {c.what for s in rollback.statements for c in created_by(s)}
    for statement in file.script.statements:
        for dropped in dropped_by(statement):
            what = dropped.what
            if dropped.renamed or what in remade | restored or what.name.lower() in in_do_blocks:
                continue
            yield finding(
                "rollback-incomplete",
                "warning",
                statement,
                f"The migration drops {what}, and the rollback does not make it again",
                f"Create it as it was in {in_project(file.rollback_path)}.",
            )


def _there_afterwards(script: Script) -> list[Created]:
    """What a migration creates and does not drop again itself; of several that make the same, the last."""
    there: dict[DatabaseObject, Created] = {}
    for statement in script.statements:
        for dropped in dropped_by(statement):
            there = {what: made for what, made in there.items() if dropped.what not in (what, what.owner)}
        for created in created_by(statement):
            there[created.what] = created
    return list(there.values())


ROLLBACK_RULES = (missing_rollback, rollback_cannot_run, rollback_loses_data, rollback_incomplete)
