# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which migrations that another tool applied may stand in the ledger: those whose files are what was recorded. Pure."""

from __future__ import annotations

import os.path
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import AdoptionEntry, ComparedBy
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import PgopsError, Position
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.history import (
    HistoryRow,
    LedgerEvent,
    newest_applied_events,
)
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import (
    MigrationFile,
    recorded_statements,
    unify_line_ends,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Script

_HISTORY = "supabase_migrations.schema_migrations"
_RESTORE = (
    "Restore the file as it was applied (git log -- <file>; or, from the history: supabase migration fetch), and put the change "
    "into a new migration."
)
_TRUST = (
    'say so with trust_files, version and reason (playbook: -e \'{"adopt_trust_files": {"<version>": "<reason>"}}\'); it '
    "is kept in the ledger."
)
_EXCERPT = 40


@dataclass(frozen=True)
class Comparison:
    """A file against what the history recorded of it; ``difference`` says what differs first, and ``place`` where."""

    by: ComparedBy | None
    place: Position | None = None
    difference: str | None = None


def compare_recorded(script: Script, recorded: Sequence[str]) -> Comparison:
    """Compare a file, split as the Supabase CLI splits it, with the recorded statements; pure.

    Equal but for line ends is the same file in another checkout: Git itself turns them. Equal but for comments and space
    between the statements, or split otherwise, is said to be so, and is for a person to judge.
    """
    if tuple(recorded) == script.recorded:
        return Comparison("identical")
    unified, ours = (tuple(unify_line_ends(text) for text in texts) for texts in (recorded, script.recorded))
    if _less_last_semicolon(unified) == _less_last_semicolon(ours):
        return Comparison("line_ends")
    place, difference = _first_difference(script, unified)
    same = recorded_statements(unified) == tuple(unify_line_ends(statement.sql) for statement in script.statements)
    return Comparison("statements" if same else None, place, difference)


def _less_last_semicolon(recorded: Sequence[str]) -> tuple[str, ...]:
    """The CLI leaves out a semicolon at a file's end, also where it ends a comment."""
    return (*recorded[:-1], recorded[-1].removesuffix(";")) if recorded else ()


def judge_history(
    files: Sequence[MigrationFile],
    scripts: Mapping[str, Script | PgopsError],
    history: Sequence[HistoryRow],
    ledger: Sequence[LedgerEvent],
    *,
    trusted: Mapping[str, str],
    half_done: Collection[str] = (),
) -> list[AdoptionEntry]:
    """What becomes of each row of the history, in its order; pure.

    :param scripts: by version, the files that are to be compared; an error where one cannot be read.
    :param trusted: versions whose files are taken for what was applied, with the reasons.
    :param half_done: versions that an apply of ours has begun and not finished.
    """
    by_version = {file.version: file for file in files}
    events = newest_applied_events(ledger)
    rows = Counter(row.version for row in history)
    entries = []
    for row in history:
        file, event = by_version.get(row.version), events.get(row.version)
        entry = _entry(row, file)
        if rows[row.version] > 1:
            _refuse(entry, _HISTORY, "stands in the history more than once", "Remove the rows that are too many.")
        elif file is None:
            _refuse(
                entry,
                _HISTORY,
                "is applied, but there is no file for it",
                "Get the branch that holds the file, or write it from the history (supabase migration fetch).",
            )
        elif row.version in half_done:
            _refuse(
                entry,
                "pgops.statement_log",
                "is half done: an apply of this collection was cut short in it",
                "Finish it first (playbook pgops.supabase.migrate).",
            )
        elif event is not None:
            entry.verdict = "known"
            if event.sha256 != file.sha256:
                _refuse(entry, str(file.path), "is in the ledger, but its file is not the one that was", _RESTORE)
        else:
            _judge(entry, row, scripts[row.version], trusted.get(row.version))
        entries.append(entry)
    return entries


def _entry(row: HistoryRow, file: MigrationFile | None) -> AdoptionEntry:
    return AdoptionEntry(
        version=row.version,
        name=file.name if file else row.name or "",
        file=str(file.path) if file else None,
        sha256=file.sha256 if file else None,
        verdict="adopted",
    )


def _judge(entry: AdoptionEntry, row: HistoryRow, script: Script | PgopsError, reason: str | None) -> None:
    """The verdict on a file of which only the history knows."""
    if isinstance(script, PgopsError):
        _refuse(entry, script.where, f"has a file that cannot be read: {script.what}", script.next_step or _RESTORE)
        return
    entry.sha256 = script.sha256
    recorded = row.statements or ()
    if not recorded and (row.statements is None or script.recorded):
        entry.trusted = reason
        if reason is None:
            _refuse(
                entry,
                entry.file,
                "was recorded without its statements, so the file cannot be compared with what was applied",
                f"If you are sure that the file is what was applied, {_TRUST}",
            )
        return
    comparison = compare_recorded(script, recorded)
    entry.compared = comparison.by
    place = None if comparison.place is None else str(comparison.place)
    if comparison.by is None:
        _refuse(entry, place, f"has a file that is not what was applied: {comparison.difference}", _RESTORE)
    elif comparison.by == "statements":
        entry.trusted = reason
        if reason is None:
            _refuse(
                entry,
                place,
                "has the statements that were applied, but other comments or space around them: "
                f"{comparison.difference}",
                f"Restore the file (git log -- <file>); or, if it is to stay as it is, {_TRUST}",
            )


def _refuse(entry: AdoptionEntry, where: str | None, problem: str, next_step: str) -> None:
    entry.verdict, entry.where, entry.problem, entry.next_step = "refused", where, problem, next_step


def _first_difference(script: Script, recorded: Sequence[str]) -> tuple[Position, str]:
    """Where the file begins to differ from what was recorded, and what stands there in both."""
    end = 0
    for entry, text in zip(script.recorded, recorded):
        start = script.text.index(entry, end)
        end = start + len(entry)
        if unify_line_ends(entry) != text:
            same = len(os.path.commonprefix([entry, text]))
            return script.position_of(start + same), (
                f"the file has {_excerpt(entry, same)}, the history has {_excerpt(text, same)}"
            )
    more = script.recorded[len(recorded) :]
    if more:
        start = script.text.index(more[0], end)
        return script.position_of(start), f"the file goes on with {_excerpt(more[0], 0)}, where the history ends"
    return script.position_of(end), (
        f"the file ends, where the history goes on with {_excerpt(recorded[len(script.recorded)], 0)}"
    )


def _excerpt(text: str, start: int) -> str:
    """A text from shortly before the place that matters, on one line."""
    begin = max(text.rfind(" ", 0, start), text.rfind("\n", 0, start)) + 1
    shown = " ".join(text[begin : begin + _EXCERPT].split())
    if not shown:
        return "nothing more there"
    return f'"{shown}{"..." if len(text) > begin + _EXCERPT else ""}"'
