# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The linter's rules on tables that hold rows: locks that are held long, rewrites, and rows that do not obey a change."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from ansible_collections.pgops.supabase.plugins.module_utils.lint.batch import (
    ColumnFacts,
    DataCheck,
    LintBatch,
    TableFacts,
    finding,
)
from ansible_collections.pgops.supabase.plugins.module_utils.lint.documents import LintFinding
from ansible_collections.pgops.supabase.plugins.module_utils.sql.effects import (
    containers_dropped_by,
    dropped_by,
    emptied_by,
    may_write_rows,
    written_by,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Statement
from ansible_collections.pgops.supabase.plugins.module_utils.sql.table_changes import (
    TableChange,
    table_changes,
    tests_not_null,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import DatabaseObject

_UNBOUNDED_TEXT = ("text", "varchar")

_VALIDATE_LATER = (
    "Add it as NOT VALID now, and VALIDATE CONSTRAINT in a migration of its own: that one lets reads and writes go on."
)
_LONG_LOCKS = {
    "check": ("every row is checked while nobody can read or write the table", _VALIDATE_LATER),
    "foreign_key": ("every row is checked while nobody can write to either table", _VALIDATE_LATER),
    "set_not_null": (
        "every row is looked at while nobody can read or write the table",
        "First add CHECK (column is not null) NOT VALID, validate it in another migration, and only then SET NOT NULL: "
        "PostgreSQL takes the valid check as proof.",
    ),
    "unique": (
        "its index is built while nobody can read or write the table",
        "Build a unique index with CREATE UNIQUE INDEX CONCURRENTLY in a file of its own, then ADD CONSTRAINT ... USING INDEX.",
    ),
    "exclusion": (
        "its index is built while nobody can read or write the table",
        "PostgreSQL has no gentle way: do it in a maintenance window, or into a new table that takes the old one's place.",
    ),
}
_LONG_LOCKS["primary_key"] = _LONG_LOCKS["unique"]


def long_locks(batch: LintBatch) -> Iterator[LintFinding]:
    """Changes of large tables that keep others waiting for as long as it takes to go through all rows.

    Warnings: whether there is anybody to keep waiting, and for how long, only those know who run it.
    """
    proven = _proven_in(batch)
    for statement in batch.statements():
        for change in table_changes(statement):
            table = batch.live(change.table)
            if table is None or not batch.limits.is_large(table):
                continue
            size = f"{change.table} is large ({batch.limits.size_text(table)})"
            if change.action == "index" and not change.concurrently:
                yield finding(
                    "index-without-concurrently-large",
                    "warning",
                    statement,
                    f"{size}, and nobody can write to it while the index is built",
                    "Use CREATE INDEX CONCURRENTLY, alone in its file.",
                )
            elif why := _rewrite(batch, change, table):
                yield finding(
                    "table-rewrite-large",
                    "warning",
                    statement,
                    f"{size}, and the whole of it is written anew while nobody can read or write it: {why}",
                    "Add a new column without default, fill it in portions, and switch the application over.",
                )
            elif _takes_a_long_lock(change, table, proven):
                reason, fix = _LONG_LOCKS[change.action]
                yield finding("lock-large-table", "warning", statement, f"{size}, and {reason}", fix)


def _takes_a_long_lock(change: TableChange, table: TableFacts, proven: set[tuple[DatabaseObject, str]]) -> bool:
    if change.action == "set_not_null":
        (column,) = change.columns
        return column not in table.proven_not_null and (change.table, column) not in proven
    return change.action in _LONG_LOCKS and not change.not_valid and not change.using_index


def _rewrite(batch: LintBatch, change: TableChange, table: TableFacts) -> str:
    """Why the change makes PostgreSQL write every row anew; empty when it does not."""
    if change.action == "alter_type":
        old = table.columns.get(change.columns[0])
        new = ColumnFacts(change.type_name, change.type_modifiers)
        if old and (change.converts or not keeps_storage(old, new)):
            return f"{change.columns[0]} changes from {type_words(old)} to {type_words(new)}"
    if change.action == "add_column":
        if change.computed:
            return f"every row gets a value of its own in {change.columns[0]}"
        volatile = [f for f in change.functions if batch.facts and f in batch.facts.volatile_functions]
        if volatile:
            return f"the default calls {volatile[0]}, which gives every row another value"
    return ""


def keeps_storage(old: ColumnFacts, new: ColumnFacts) -> bool:
    """Whether PostgreSQL changes a type in the catalog alone (ALTER TABLE, Notes: binary coercible, and not tightened)."""
    if old == new:
        return True
    if old.type_name in _UNBOUNDED_TEXT and new.type_name in _UNBOUNDED_TEXT:
        return not new.modifiers or bool(old.modifiers and old.modifiers[0] <= new.modifiers[0])
    if old.type_name == new.type_name == "numeric":
        same_scale = old.modifiers[1:] == new.modifiers[1:]
        return not new.modifiers or bool(old.modifiers and same_scale and old.modifiers[0] <= new.modifiers[0])
    return False


def type_words(column: ColumnFacts) -> str:
    """A type as SQL writes it."""
    return column.type_name + (f"({', '.join(map(str, column.modifiers))})" if column.modifiers else "")


def _proven_in(batch: LintBatch) -> set[tuple[DatabaseObject, str]]:
    """The columns that a check, added and validated by the batch itself, proves not to be null."""
    checks: dict[tuple[DatabaseObject, str], str] = {}
    proven = set()
    for statement in batch.statements():
        for change in table_changes(statement):
            key = (change.table, change.name)
            if change.action == "check" and change.name and (column := tests_not_null(statement, change.command)):
                checks[key] = column
            elif change.action == "validate" and key in checks:
                proven.add((change.table, checks[key]))
    return proven


def existing_data(batch: LintBatch) -> Iterator[LintFinding]:
    """Rows that are there and do not obey: the migration would fail on them, after everything before it has run."""
    for check in batch.facts.checks if batch.facts else ():
        statement = check.change.statement
        if check.violations is None:
            yield finding(
                "existing-data-unchecked",
                "notice",
                statement,
                f"Whether the rows of {check.change.table} obey could not be found out: {check.problem}",
                "The dry run (check mode) tells.",
            )
        elif check.violations:
            mended_by = _earlier_write(batch, check)
            number = f"at least {check.violations}" if check.at_least else str(check.violations)
            reason = f"{number} {_violation_words(check.change)}"
            if mended_by:
                reason += f"; the statement at {mended_by.position} may mend that first"
            yield finding(
                "existing-data-violates",
                "warning" if mended_by else "error",
                statement,
                reason,
                "Correct the rows in an earlier statement or migration.",
            )


def _violation_words(change: TableChange) -> str:
    columns = ", ".join(change.columns)
    if change.action == "add_column":
        return f"rows of {change.table} would have no value in the new column {columns}, which must not be null"
    if change.action == "set_not_null":
        return f"rows of {change.table} have null in {columns}"
    if change.action == "foreign_key":
        return f"rows of {change.table} point at no row of {change.referenced} with {columns}"
    if change.action == "check":
        return f"rows of {change.table} do not satisfy the check {change.name}".rstrip()
    if change.action == "primary_key":
        return f"values or rows of {change.table} are duplicates or null in {columns}"
    return f"values of {columns} in {change.table} are there more than once"


def _earlier_write(batch: LintBatch, check: DataCheck) -> Statement | None:
    """The last statement up to the change that writes its tables; else the last that may, as a function or a trigger does."""
    tables = {check.change.table} | ({check.change.referenced} if check.change.referenced else set())
    own = check.change.statement
    before = [*takewhile(lambda statement: statement != own, batch.statements()), own]
    writing = [s for s in before if written_by(s) in tables or any(table in tables for table, _all in emptied_by(s))]
    return next(reversed(writing or [s for s in before if may_write_rows(s)]), None)


def unknown_tables(batch: LintBatch) -> Iterator[LintFinding]:
    """Tables that the rules could not judge, so that nobody takes their silence for consent."""
    unknown = dict(batch.facts.unknown) if batch.facts else {}
    for statement in batch.statements():
        used = {change.table for change in table_changes(statement)} | {t for t, _all in emptied_by(statement)}
        used |= set(containers_dropped_by(statement))
        used |= {dropped.what.owner or dropped.what for dropped in dropped_by(statement)}
        for table in sorted(used & unknown.keys(), key=str):
            yield finding(
                "table-unknown",
                "warning",
                statement,
                f"How large {table} is and what it holds could not be found out: {unknown.pop(table)}",
                "Lint as a role that may read it, or with a longer statement_timeout_seconds.",
            )


TABLE_RULES = (long_locks, existing_data, unknown_tables)
