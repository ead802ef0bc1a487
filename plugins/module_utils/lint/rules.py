# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The linter's rules on migrations: pure, from the parse trees of a batch and what was read from the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import Position, SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.lint.batch import LintBatch, finding
from ansible_collections.pgops.supabase.plugins.module_utils.lint.documents import LintFinding
from ansible_collections.pgops.supabase.plugins.module_utils.sql.effects import (
    containers_dropped_by,
    created_by,
    dropped_by,
    drops_more_than_it_names,
    emptied_by,
    function_altered_by,
    functions_used,
    moved_by,
    options_of,
    relations_used,
    row_security_enabled_by,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import runnable
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import (
    Statement,
    position_at,
    reason_not_transactional,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import DatabaseObject

API_SCHEMA = "public"
_NAMED = 3
_RELATIONS = ("table", "view", "materialized view", "sequence", "index")


def transaction_control(batch: LintBatch) -> Iterator[LintFinding]:
    """What the apply refuses: COPY with inline data, a transaction left open and its like; and transactions of a file's own."""
    for file in batch.files:
        try:
            parts = runnable(file.script, outside_transaction=True).parts
        except SqlScriptError as error:
            for refused in file.script.statements:
                if str(refused.position) == error.where:
                    code = "inline-copy" if refused.tag == "CopyStmt" else "transaction-control"
                    yield finding(code, "error", refused, error.what, error.next_step or "")
            continue
        if parts:
            yield finding(
                "own-transactions",
                "warning",
                [s for s in file.script.statements if s.is_transaction_control][0],
                f"The file makes {len(parts)} transactions of its own: what one has committed stays when a later one fails",
                "Leave out its BEGIN and COMMIT where nothing needs them.",
            )


def not_transactional(batch: LintBatch) -> Iterator[LintFinding]:
    """Commands that PostgreSQL refuses in a transaction: their file is applied statement by statement."""
    for file in batch.files:
        others = [
            s
            for s in file.script.statements
            if not s.is_transaction_control and reason_not_transactional(s) is None and s.tag != "VariableSetStmt"
        ]
        for statement in file.script.statements:
            command = reason_not_transactional(statement)
            if command is None:
                continue
            yield finding(
                "not-transactional",
                "warning" if others else "notice",
                statement,
                f"{command} cannot run in a transaction, so this file is applied statement by statement: when one fails, "
                "those before it stay",
                (
                    "Keep it alone in its file, so that everything else stays in the transaction."
                    if others
                    else "Nothing to do; it is alone in its file already."
                ),
            )


def missing_rls(batch: LintBatch) -> Iterator[LintFinding]:
    """Supabase's API shows every table of its schema to whoever holds the public key, unless policies say otherwise."""
    secured = {table for s in batch.statements() if (table := row_security_enabled_by(s))}
    dropped = {d.what for s in batch.statements() for d in dropped_by(s)}
    in_do_blocks = " ".join(s.sql.lower() for s in batch.statements() if s.tag == "DoStmt")
    for statement in batch.statements():
        for created in created_by(statement):
            table = created.what
            if table.kind != "table" or table.schema != API_SCHEMA or created.renamed:
                continue
            by_loop = "row level security" in in_do_blocks and table.name.lower() in in_do_blocks
            if table not in secured and table not in dropped and not by_loop:
                yield finding(
                    "missing-rls",
                    "warning",
                    statement,
                    f"{table} has no row level security, and Supabase's API offers every table of {API_SCHEMA}",
                    f"alter table {table.schema}.{table.name} enable row level security; and add policies for who may read it.",
                )


def security_definer_search_path(batch: LintBatch) -> Iterator[LintFinding]:
    """A function that runs as its owner and looks names up in the caller's search_path runs what the caller puts there."""
    fixed = {
        function_altered_by(s) for s in batch.statements() if s.tag == "AlterFunctionStmt" and _sets_search_path(s)
    }
    for statement in batch.statements():
        if statement.tag not in ("CreateFunctionStmt", "AlterFunctionStmt"):
            continue
        is_definer = any(o.get("Boolean", {}).get("boolval") for o in options_of(statement).get("security", []))
        names = {c.what for c in created_by(statement)} | {function_altered_by(statement)}
        if is_definer and not _sets_search_path(statement) and not names & (fixed - {None}):
            yield finding(
                "security-definer-search-path",
                "warning",
                statement,
                "The function runs with its owner's rights, but looks up names in its caller's search_path",
                "Add: set search_path = '' and write every name with its schema.",
            )


def _sets_search_path(statement: Statement) -> bool:
    return any(o.get("VariableSetStmt", {}).get("name") == "search_path" for o in options_of(statement).get("set", []))


def drops_data(batch: LintBatch) -> Iterator[LintFinding]:
    """What a migration takes away that was there before it."""
    for statement in batch.statements():
        lost = [d.what for d in dropped_by(statement) if not d.renamed and d.what.kind in ("table", "column")]
        lost += [table for table, all_rows in emptied_by(statement) if all_rows]
        for what in lost:
            owner = what.owner
            if what in batch.created or owner in batch.created:
                continue
            how_much = _data_in(batch, what)
            if how_much:
                yield finding(
                    "drops-data",
                    "warning",
                    statement,
                    f"The statement takes away what is in {what}: {how_much}",
                    "Keep the data elsewhere first, drop in a later release than the one that stops using it, or waive this "
                    "with the reason why the data is not needed.",
                )


def drops_what_holds_data(batch: LintBatch) -> Iterator[LintFinding]:
    """Tables and columns that go with a schema, a type or an extension, without being named."""
    settled: set[DatabaseObject] = set()
    for statement in batch.statements():
        for container in containers_dropped_by(statement):
            if container in batch.created or (batch.facts and container not in batch.facts.contained):
                continue
            what = "without a connection nobody knows which tables"
            if batch.facts:
                held = [item for item in batch.facts.contained[container] if not {item, item.owner} & settled]
                if not held:
                    continue
                rest = f" and {len(held) - _NAMED} more" if len(held) > _NAMED else ""
                what = f"{', '.join(map(str, held[:_NAMED]))}{rest}"
            elif not drops_more_than_it_names(statement):
                continue
            yield finding(
                "drops-data",
                "warning",
                statement,
                f"What is dropped with {container} holds data: {what}",
                "Move or keep what is needed first, or waive this with the reason why the data is not needed.",
            )
        settled |= {d.what for d in dropped_by(statement)}
        settled |= {table for table in [moved_by(statement)] if table}


def _data_in(batch: LintBatch, what: DatabaseObject) -> str:
    """How much data would be lost, in words; empty when it is none."""
    if batch.facts is None:
        return "without a connection nobody knows how much"
    return batch.limits.size_text(batch.facts.tables[what.owner or what]) if batch.holds_data(what) else ""


def conflicts_in_batch(batch: LintBatch) -> Iterator[LintFinding]:
    """Files that seem to get in each other's way: made two times, or used after an earlier file dropped it.

    Only the dry run knows: what goes with a CASCADE, and what a DO block does, is not in the text.
    """
    made: dict[tuple[DatabaseObject, str | None], Statement] = {}
    gone: dict[tuple[DatabaseObject, str | None], Statement] = {}
    overloaded = batch.facts.overloaded if batch.facts else frozenset()
    for statement in batch.statements():
        if statement.tag == "DoStmt":
            made, gone = _not_named_in(statement, made), _not_named_in(statement, gone)
        yield from _uses_of(gone, statement, overloaded)
        for created in created_by(statement):
            key = (created.what, created.what.arguments)
            earlier = made.get(key)
            if earlier and not created.tolerant:
                yield finding(
                    "conflicts-in-batch",
                    "warning",
                    statement,
                    f"{created.what} was already created at {earlier.position}",
                    "Remove one of the two, or drop the object in between.",
                )
            made[key] = statement
            gone = {key: by for key, by in gone.items() if not _takes_the_name_of(created.what, key[0])}
        if drops_more_than_it_names(statement):
            made = {}
        for dropped in dropped_by(statement):
            made = {key: by for key, by in made.items() if dropped.what not in (key[0], key[0].owner)}
            gone[(dropped.what, dropped.what.arguments)] = statement


def _not_named_in(
    block: Statement, objects: dict[tuple[DatabaseObject, str | None], Statement]
) -> dict[tuple[DatabaseObject, str | None], Statement]:
    words = block.sql.lower()
    return {key: by for key, by in objects.items() if key[0].name.lower() not in words}


def _takes_the_name_of(made: DatabaseObject, gone: DatabaseObject) -> bool:
    """Whether a name, of whatever kind of relation or overload, means something again."""
    return (
        made == gone
        or made.kind in _RELATIONS
        and (
            (gone.kind in _RELATIONS and (made.schema, made.name) == (gone.schema, gone.name))
            or (made.schema, made.name) == (gone.schema, gone.table)
        )
    )


def _uses_of(
    gone: dict[tuple[DatabaseObject, str | None], Statement],
    statement: Statement,
    overloaded: frozenset[tuple[str, str]],
) -> Iterator[LintFinding]:
    """The objects of earlier files that a statement uses although they are not there any more."""
    dropped = {(d.what, d.what.arguments) for d in dropped_by(statement) if not d.tolerant}
    dropped_again = {d.what for d in dropped_by(statement) if d.tolerant}
    made_here = {(c.what.schema, c.what.name) for c in created_by(statement)}
    relations, calls = relations_used(statement), functions_used(statement)
    for (what, arguments), by in gone.items():
        name = (what.schema, what.name)
        if by.position.file == statement.position.file or what in dropped_again or name in made_here:
            continue
        number = None if arguments is None else len(arguments.split(", ")) if arguments else 0
        used = (
            (what.kind in _RELATIONS and name in relations)
            or (
                what.kind == "function"
                and name not in overloaded
                and any((schema, called) == name and number in (None, given) for schema, called, given in calls)
            )
            or (what, arguments) in dropped
        )
        if used:
            yield finding(
                "conflicts-in-batch",
                "warning",
                statement,
                f"The statement uses {what}, which an earlier file drops or renames at {by.position}",
                "Correct the order of the files, or use what took its place.",
            )


def bytes_of_the_file(batch: LintBatch) -> Iterator[LintFinding]:
    """What an editor on Windows puts into a file. It is applied as it is; strings and function bodies keep the carriage returns."""
    for file in batch.files:
        first = file.script.text.find("\r\n")
        if first >= 0:
            yield finding(
                "line-ends",
                "warning",
                position_at(file.script.file, file.script.text, first),
                "Lines end with a carriage return here, which stays in strings and in the bodies of functions",
                "Save the file with LF line ends; the hash of a file does not depend on them. Git: *.sql text eol=lf in .gitattributes.",
            )
        if file.has_byte_order_mark:
            yield finding(
                "byte-order-mark",
                "warning",
                Position(file.script.file, 1, 1),
                "The file begins with a byte order mark, which psql and other programs take for a part of the first statement",
                "Save the file as UTF-8 without it; the hash of a file does not depend on it.",
            )


Rule = Callable[[LintBatch], Iterator[LintFinding]]

MIGRATION_RULES: tuple[Rule, ...] = (
    bytes_of_the_file,
    transaction_control,
    not_transactional,
    missing_rls,
    security_definer_search_path,
    drops_data,
    drops_what_holds_data,
    conflicts_in_batch,
)
