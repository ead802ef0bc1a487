# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries the files of a dry run: goes on after what cannot be tried and after rows that a constraint refuses, so that all is told.

A savepoint stands only before statements that can meet such rows, and only here: an apply has none. Savepoints change neither
the transaction's id, nor SET LOCAL, cursors or temporary tables; SET TRANSACTION and COPY ... FREEZE, which they would change,
get none.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import Violation
from ansible_collections.pgops.supabase.plugins.module_utils.apply.receipt import Recorder
from ansible_collections.pgops.supabase.plugins.module_utils.apply.script_runner import (
    DeferrableConstraint,
    check_now,
    defer_again,
    deferrable_constraints,
    one_transaction,
    run_statement,
)
from ansible_collections.pgops.supabase.plugins.module_utils.apply.stand_ins import names_made_by, stand_in_for
from ansible_collections.pgops.supabase.plugins.module_utils.apply.violations import (
    count_deferred,
    is_violation,
    violation_of,
    violations_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import StatementFailed
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import execute
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import ROLLED_BACK
from ansible_collections.pgops.supabase.plugins.module_utils.sql.effects import emptied_by, relations_used, written_by
from ansible_collections.pgops.supabase.plugins.module_utils.sql.runnable import Part, RunnableScript
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import (
    Script,
    Statement,
    reason_not_transactional,
    sets_only_the_session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.tree import commands_of

if TYPE_CHECKING:
    from psycopg2 import Error as PgError
    from psycopg2.extensions import connection as PgConnection

_SAVEPOINT = "pgops_tried"
_WRITES_ROWS = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CopyStmt"})
_RUNS_WHATEVER = frozenset({"SelectStmt", "DoStmt", "CallStmt", "ExecuteStmt"})
# What can meet rows that a constraint refuses; a kind that is missing here stops the dry run where it fails, as an apply would.
_MEETS_ROWS = (
    _WRITES_ROWS
    | _RUNS_WHATEVER
    | {
        "AlterTableStmt",
        "AlterDomainStmt",
        "IndexStmt",
        "CreateTableAsStmt",
        "RefreshMatViewStmt",
        "TruncateStmt",
        "ConstraintsSetStmt",
    }
)
# Only constraints are missing when such a command was left out, and a constraint that is missing makes no row wrong.
_ONLY_CONSTRAINS = frozenset({"AT_AddConstraint", "AT_SetNotNull", "AT_ValidateConstraint", "AT_AddIndexConstraint"})
# Never the consequence of a statement that was left out: lost connections, no resources, syntax, locks, timeouts, the server.
_NO_CONSEQUENCE = ("08", "40", "42601", "53", "55P03", "57", "58", "XX")

# A value of an enum that an earlier file adds; an apply commits that file first.
_ENUM_VALUE_NOT_COMMITTED = "55P04"
_QUOTED = re.compile(r'"([^"]+)"')
# ALTER TABLE of a table with checks still to come; a consequence only where a deferred constraint was found broken.
_PENDING_CHECKS = "55006"


@dataclass(frozen=True)
class _LeftOut:
    """A statement that was not executed, and the relations whose rows are other than they would be: None for any."""

    where: str
    rows_of: frozenset[str] | None
    # What it would have made: an error that names it is no news.
    made: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _NewValue:
    """A value that a statement added to an enum, and in which of an apply's transactions."""

    value: str
    transaction: tuple[int, int]
    where: str


class Trial:
    """Tries one file after the other in the open transaction."""

    def __init__(self, connection: PgConnection, recorder: Recorder) -> None:
        self._connection = connection
        self._recorder = recorder
        self._left_out: list[_LeftOut] = []
        self._enums: list[_NewValue] = []
        self._transaction = (0, 0)
        self._refused: set[tuple[str, str]] = set()

    @property
    def is_complete(self) -> bool:
        """Whether every statement so far was executed."""
        return self._recorder.is_complete

    def run(self, script: RunnableScript, *, what: str, transaction: int = 0, finished: Collection[int] = ()) -> float:
        """Try all statements of a file; how long it took, in seconds.

        :param what: the file in words, for errors.
        :param transaction: which of an apply's transactions the file is in, or begins with.
        :param finished: the places of the statements that an earlier run finished, outside of a transaction.
        :raises StatementFailed: at what would stop an apply, unless rows that a constraint refuses or a statement that was
            left out is the reason.
        """
        started = time.monotonic()
        try:
            with one_transaction(self._connection, script, what):
                for number, part in enumerate(script.transactions):
                    self._transaction = (transaction, number)
                    self._run_part(script, part, what, finished)
        except StatementFailed as error:
            # An apply would not have come so far.
            self.require_no_violations(then=error)
            raise
        return time.monotonic() - started

    def _run_part(self, script: RunnableScript, part: Part, what: str, finished: Collection[int]) -> None:
        """One of the transactions of an apply, with the checks that its COMMIT makes."""
        for position in range(part.first, part.end):
            statement = script.statements[position]
            if position in finished and not sets_only_the_session(statement):
                self._recorder.not_executed(statement, "an earlier run finished it")
            else:
                self._try(script.script, statement, what)
        last = script.statements[part.end - 1] if script.outside_transaction else None
        if last is None or not reason_not_transactional(last):
            self._check_deferred(script.script, what, str(last.position) if last else script.script.file)

    def require_no_violations(self, then: StatementFailed | None = None) -> None:
        """End a dry run that found rows which constraints refuse, whatever was left out before.

        :param then: what ended it, if it did not come to its end.
        :raises StatementFailed: with all of them; the first is where an apply would stop.
        """
        violations = self._recorder.violations
        own = [violation for violation in violations if violation.follows is None]
        if not own:
            return
        listed = "; ".join(_in_short(violation) for violation in violations)
        ended = f". Then it ended at {then.where}: {then.what}" if then else ""
        raise StatementFailed(
            f"Rows break {len(violations)} constraint{'s' * (len(violations) != 1)}: {listed}{ended}",
            where=own[0].where,
            state=f"{ROLLED_BACK}; sequences stay where they were moved to",
            next_step="Mend the rows in a statement before the constraint, or the file; then try again. All of them are in the receipt.",
            details={"sqlstate": own[0].sqlstate},
        ) from then

    def _try(self, script: Script, statement: Statement, what: str) -> None:
        left_out = None
        if reason_not_transactional(statement):
            stand_in = stand_in_for(self._connection, statement)
            left_out = stand_in.left_out
            if stand_in.statement is None:
                self._leave_out(statement, str(left_out))
                return
            statement, original = stand_in.statement, statement
        guarded = _can_meet_rows(statement) or (
            bool(self._left_out or self._enums) and not _needs_the_transaction(statement)
        )
        if guarded:
            self._recorder.before_a_savepoint()
            execute(self._connection, f"savepoint {_SAVEPOINT}")
        began = time.monotonic()
        try:
            rows = run_statement(self._connection, script, statement, what)
        except StatementFailed as error:
            cause = _cause(error)
            if not guarded or cause is None or not (is_violation(cause) or self._may_be_a_consequence(error)):
                raise
            self._undo()
            self._recorder.undone()
            self._left_out_after(statement, cause, error)
            return
        seconds = time.monotonic() - began
        if guarded:
            execute(self._connection, f"release savepoint {_SAVEPOINT}")
        if left_out is not None:
            self._leave_out(original, left_out)
            return
        self._remember_value(statement)
        self._recorder.executed(statement, seconds, rows if statement.tag in _WRITES_ROWS else None)

    def _remember_value(self, statement: Statement) -> None:
        """A value that is there already, which IF NOT EXISTS does not mind, is as old as it was."""
        if statement.tag == "AlterEnumStmt" and "oldVal" not in statement.node:
            new = _NewValue(statement.node["newVal"], self._transaction, str(statement.position))
            if new.value not in [known.value for known in self._enums]:
                self._enums.append(new)

    def _leave_out(self, statement: Statement, reason: str) -> None:
        """An index more or less, or a table that was tidied up, makes no row wrong."""
        self._recorder.not_executed(statement, reason)
        self._left_out.append(_LeftOut(str(statement.position), frozenset(), names_made_by(statement)))

    def _left_out_after(self, statement: Statement, cause: PgError, error: StatementFailed) -> None:
        if is_violation(cause):
            found = violations_of(self._connection, statement, cause)
            for violation in found:
                violation.follows = self._cause_of_rows(statement, violation)
            self._recorder.violations += found
            self._recorder.not_executed(statement, "rows break a constraint")
        else:
            before = ", ".join(
                left_out.where.rsplit("/", 1)[-1] for left_out in self._left_out[-3:] or self._enums[-3:]
            )
            self._recorder.not_executed(
                statement, f"after what was left out it cannot be tried ({before} may be the cause): {error.what}"
            )
        self._left_out.append(_LeftOut(str(statement.position), _rows_of(statement), names_made_by(statement)))

    def _may_be_a_consequence(self, error: StatementFailed) -> bool:
        sqlstate = str(error.details.get("sqlstate"))
        if sqlstate == _PENDING_CHECKS:
            return bool(self._refused)
        if sqlstate == _ENUM_VALUE_NOT_COMMITTED:
            return not any(
                new.transaction == self._transaction and f'"{new.value}"' in error.what for new in self._enums
            )
        if self._recorder.violations:
            # The dry run has failed already; the more is told of the rest, the better.
            return bool(self._left_out) and not sqlstate.startswith(_NO_CONSEQUENCE)
        named = {name.rsplit(".", 1)[-1] for name in _QUOTED.findall(error.what)}
        return any(left_out.made & named for left_out in self._left_out)

    def _cause_of_rows(self, statement: Statement, violation: Violation) -> str | None:
        """The first statement before this one that was left out and would have written rows that this one meets."""
        met = {name for _schema, name in relations_used(statement)}
        if violation.table:
            met.add(violation.table.rsplit(".", 1)[-1])
        if violation.sqlstate == "23503" and violation.counted:
            met.add(violation.counted.rsplit(".", 1)[-1])
        anything = statement.tag in _RUNS_WHATEVER
        for left_out in self._left_out:
            if left_out.rows_of is None or left_out.rows_of & met or (anything and left_out.rows_of):
                return left_out.where
        return None

    def _check_deferred(self, script: Script, what: str, where: str) -> None:
        """Every deferrable constraint is checked at the end of each file or transaction; each that rows break is told once.

        :param where: the place at which an apply would stop.
        """
        constraints = deferrable_constraints(self._connection)
        unknown = [item for item in constraints if (item.schema, item.name) not in self._refused]
        if self._checked(script, unknown, what) is not None:
            for constraint in unknown:
                error = self._checked(script, [constraint], what)
                if error is not None:
                    self._refuses(where, constraint, error)
        defer_again(self._connection, constraints)

    def _checked(self, script: Script, constraints: Sequence[DeferrableConstraint], what: str) -> PgError | None:
        """Check constraints in a savepoint; the refusal, after which they are as they were before."""
        execute(self._connection, f"savepoint {_SAVEPOINT}")
        try:
            check_now(self._connection, script, constraints, what)
        except StatementFailed as error:
            cause = _cause(error)
            if cause is None or str(error.details.get("sqlstate")).startswith(_NO_CONSEQUENCE):
                raise
            self._undo()
            return cause
        execute(self._connection, f"release savepoint {_SAVEPOINT}")
        return None

    def _refuses(self, where: str, constraint: DeferrableConstraint, error: PgError) -> None:
        violation = violation_of(error, where=where, statement="at the end of its transaction", deferred=True)
        violation.constraint = violation.constraint or constraint.name
        count_deferred(self._connection, violation, constraint.schema, constraint.name)
        touched = {violation.table.rsplit(".", 1)[-1]} if violation.table else set()
        if violation.counted:
            touched.add(violation.counted.rsplit(".", 1)[-1])
        for left_out in self._left_out:
            if left_out.rows_of is None or left_out.rows_of & touched:
                violation.follows = left_out.where
                break
        self._recorder.violations.append(violation)
        self._refused.add((constraint.schema, constraint.name))

    def _undo(self) -> None:
        execute(self._connection, f"rollback to savepoint {_SAVEPOINT}; release savepoint {_SAVEPOINT}")


def _can_meet_rows(statement: Statement) -> bool:
    if statement.tag == "CreateStmt":
        # The rows of a default partition may belong into the new one.
        return "partbound" in statement.node
    return statement.tag in _MEETS_ROWS and not _needs_the_transaction(statement)


def _needs_the_transaction(statement: Statement) -> bool:
    """Whether a statement means something else in a savepoint: SET TRANSACTION ends with it, FREEZE needs the table's own."""
    if statement.tag == "CopyStmt":
        return any(item["DefElem"]["defname"] == "freeze" for item in statement.node.get("options", []))
    return sets_only_the_session(statement)


def _rows_of(statement: Statement) -> frozenset[str] | None:
    """The relations, without schema, whose rows are other than they would be when the statement is left out."""
    if statement.tag == "AlterTableStmt":
        if all(command["subtype"] in _ONLY_CONSTRAINS for command in commands_of(statement.node)):
            return frozenset()
        return frozenset({statement.node["relation"]["relname"]})
    if statement.tag in ("IndexStmt", "AlterDomainStmt", "ConstraintsSetStmt"):
        return frozenset()
    written = written_by(statement)
    tables = {written.name} if written else {table.name for table, _all in emptied_by(statement)}
    return frozenset(tables) if tables else None


def _cause(error: StatementFailed) -> PgError | None:
    import psycopg2

    return error.__cause__ if isinstance(error.__cause__, psycopg2.Error) else None


def _in_short(violation: Violation) -> str:
    rows = "" if violation.rows is None else f", {number(violation.rows, 'row')}"
    after = " (perhaps only because of what was left out before it)" if violation.follows else ""
    return f"{violation.constraint or violation.message} of {violation.table or 'an unnamed table'}{rows}{after}"
