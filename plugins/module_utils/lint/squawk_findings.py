# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""squawk's findings in the light of what it does not know: the rest of the batch, and how large the tables are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import Position
from ansible_collections.pgops.supabase.plugins.module_utils.lint.batch import LintBatch, finding
from ansible_collections.pgops.supabase.plugins.module_utils.lint.documents import LintFinding
from ansible_collections.pgops.supabase.plugins.module_utils.lint.squawk import SquawkFinding
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Statement
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import DatabaseObject, relation

# These warn of work that grows with the table; on one that is small, or new in the batch, there is nothing to fear.
GROWS_WITH_TABLE = frozenset(
    {
        "adding-field-with-default",
        "adding-foreign-key-constraint",
        "adding-not-nullable-field",
        "adding-serial-primary-key-field",
        "changing-column-type",
        "constraint-missing-not-valid",
        "disallowed-unique-constraint",
        "require-concurrent-index-creation",
        "require-concurrent-reindex",
    }
)
_OUR_LOCK_CODES = frozenset({"index-without-concurrently-large", "table-rewrite-large", "lock-large-table"})
# Where our own rules speak of the same with more knowledge, squawk need not.
_SAID_BY_OURS = {
    **dict.fromkeys(GROWS_WITH_TABLE, _OUR_LOCK_CODES),
    **dict.fromkeys(("ban-drop-table", "ban-drop-column", "ban-truncate-cascade"), frozenset({"drops-data"})),
}
# What to do, where squawk does not say or says what does not fit a runner that owns the transaction.
_FIXES = {
    "adding-foreign-key-constraint": "Add it as NOT VALID, and VALIDATE CONSTRAINT in a migration of its own.",
    "adding-not-nullable-field": "Validate CHECK (column is not null) in an earlier migration, then SET NOT NULL is quick.",
    "ban-char-field": "Use text, with a check on its length where that matters.",
    "ban-drop-column": "Release the application that does not use the column any more before this migration.",
    "ban-drop-table": "Release the application that does not use the table any more before this migration.",
    "changing-column-type": "Add a column of the new type, fill it, and let the application change over.",
    "constraint-missing-not-valid": "Add it as NOT VALID, and VALIDATE CONSTRAINT in a migration of its own.",
    "renaming-column": "Add the new name beside the old one, or a view, until every application has changed over.",
    "renaming-table": "Leave a view under the old name until every application has changed over.",
    "require-concurrent-index-creation": "Use CREATE INDEX CONCURRENTLY, alone in its file.",
    "require-concurrent-index-deletion": "Use DROP INDEX CONCURRENTLY, alone in its file.",
}


def judge_squawk(
    batch: LintBatch, found: Sequence[SquawkFinding], ours: Sequence[LintFinding]
) -> Iterator[LintFinding]:
    """squawk's findings as ours: warnings, or notices where the database says that there is little to fear.

    :param ours: the findings of our own rules; what they say already is not said two times.
    """
    said: dict[tuple[str, int], set[str]] = {}
    for own in ours:
        said.setdefault((own.file, own.line), set()).add(own.code)
    for item in found:
        statement = _statement_at(batch, item)
        place = Position(item.file, item.line, item.column)
        if statement is None:
            yield _finding(item, place, place)
            continue
        if said.get((item.file, statement.position.line), set()) & _SAID_BY_OURS.get(item.rule, frozenset()):
            continue
        table = _table_of(statement)
        if item.rule in GROWS_WITH_TABLE and table in batch.created:
            continue
        result = _finding(item, statement, place)
        facts = batch.live(table) if table else None
        if item.rule in GROWS_WITH_TABLE and facts and not batch.limits.is_large(facts):
            size = batch.limits.size_text(facts)
            result = replace(result, level="notice", reason=f"{result.reason} {table} is small, though ({size}).")
        yield result


def _finding(item: SquawkFinding, place: Statement | Position, at: Position) -> LintFinding:
    fix = _FIXES.get(item.rule) or item.help or f"squawk explains it: https://squawkhq.com/docs/{item.rule}"
    return finding(f"squawk.{item.rule}", "warning", place, " ".join(item.message.split()), fix, at=at)


def _statement_at(batch: LintBatch, item: SquawkFinding) -> Statement | None:
    """The statement that a finding is in: the last that begins at or before it."""
    before = [
        statement
        for file in batch.files
        if file.script.file == item.file
        for statement in file.script.statements
        if (statement.position.line, statement.position.column) <= (item.line, item.column)
    ]
    return before[-1] if before else None


def _table_of(statement: Statement) -> DatabaseObject | None:
    node = statement.node.get("relation")
    return relation(node) if statement.tag in ("AlterTableStmt", "IndexStmt", "ReindexStmt") and node else None
