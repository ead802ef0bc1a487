# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a script fit to run in somebody else's transaction, or outside of one. Pure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.sql.concurrently import (
    runs_without_concurrently,
    without_concurrently,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import (
    UNPARSED_COPY,
    Script,
    Statement,
    makes_temporary,
    reason_not_transactional,
    sets_only_the_session,
)


@dataclass(frozen=True)
class Part:
    """Statements that are one transaction of their own: their places in the script, the last one not included.

    ``begin`` is the command that opens it, as the file has it.
    """

    first: int
    end: int
    begin: str = "begin"


@dataclass(frozen=True)
class RunnableScript:
    """A script that was found fit to run in somebody else's transaction, or, where it says so, outside of one.

    ``parts`` are the transactions that a file makes of itself; without any, each statement outside a transaction is one.
    """

    script: Script
    statements: tuple[Statement, ...]
    outside_transaction: bool = False
    parts: tuple[Part, ...] = ()

    @property
    def transactions(self) -> tuple[Part, ...]:
        """Its transactions outside of the runner's; the whole script where it can be in that."""
        if self.parts or not self.outside_transaction:
            return self.parts or (Part(0, len(self.statements)),)
        return tuple(Part(place, place + 1) for place in range(len(self.statements)))


def runnable(script: Script, *, outside_transaction: bool = False) -> RunnableScript:
    """Check that a script can be run.

    :param outside_transaction: whether transactions of its own are allowed, and commands that PostgreSQL refuses in a
        transaction block.
    :raises SqlScriptError: at transaction control that leaves a transaction open or gives up what was done, at COPY with inline
        data, and at what is not allowed.
    """
    _require_no_inline_data(script)
    statements = _less_outer_transaction(script)
    if statements is None and outside_transaction:
        return _in_parts(script)
    if statements is None:
        control = next(s for s in script.statements if s.is_transaction_control)
        raise SqlScriptError(
            f"Transaction control in the middle of a file: {control.sql.upper()}. What follows it would run outside "
            "the transaction that protects the database",
            where=control.position,
            next_step="Remove it. One BEGIN; ... COMMIT; around the whole file is fine.",
        )
    outside = [statement for statement in statements if reason_not_transactional(statement)]
    if outside and not outside_transaction:
        raise SqlScriptError(
            f"{reason_not_transactional(outside[0])} cannot run in a transaction, so a failure after it could not be undone",
            where=outside[0].position,
            next_step="A rollback has to be one transaction: take this statement out of the file, and run it by hand after the rollback.",
        )
    if outside and len(statements) != len(script.statements):
        raise _not_in_own_transaction(outside[0])
    temporary = [statement for statement in statements if outside and makes_temporary(statement)]
    if temporary:
        raise SqlScriptError(
            f"A temporary object does not outlive a run that is cut short, and {reason_not_transactional(outside[0])} makes "
            "this file one that has to be gone on with",
            where=temporary[0].position,
            next_step="Put what cannot run in a transaction into a migration of its own.",
        )
    return RunnableScript(script, statements, bool(outside))


def runnable_rollback(script: Script) -> RunnableScript:
    """Check that a rollback can be run, which is one transaction: CONCURRENTLY is left out where the outcome is the same.

    :raises SqlScriptError: as :func:`runnable`.
    """
    kept = tuple(without_concurrently(s) if runs_without_concurrently(s) else s for s in script.statements)
    return runnable(dataclasses.replace(script, statements=kept))


def alone_or_apart(script: RunnableScript) -> list[tuple[Statement, str]]:
    """Where a script leaves the runner's transaction, in order, with the reason: a command, or a transaction of its own."""
    reasons = {place: reason for place, s in enumerate(script.statements) if (reason := reason_not_transactional(s))}
    for number, part in enumerate(script.parts, start=1):
        reasons.setdefault(part.first, f"transaction {number} of the {len(script.parts)} that the file makes")
    return [(script.statements[place], reason) for place, reason in sorted(reasons.items())]


def _require_no_inline_data(script: Script) -> None:
    for statement in script.statements:
        if statement.tag == "CopyStmt" and "filename" not in statement.node:
            raise SqlScriptError(
                UNPARSED_COPY, where=statement.position, next_step="Write the rows as INSERT statements."
            )


def _less_outer_transaction(script: Script) -> tuple[Statement, ...] | None:
    """The statements without a plain BEGIN and COMMIT around all that does more than set the session or notify.

    None when the file steers transactions otherwise.
    """
    controls = [place for place, s in enumerate(script.statements) if s.is_transaction_control]
    if not controls:
        return script.statements
    if len(controls) != 2:
        return None
    (first, last), statements = controls, script.statements
    begin, commit = statements[first], statements[last]
    is_plain = begin.transaction_command in ("BEGIN", "START") and not begin.node.get("options") and _is_commit(commit)
    before, after = statements[:first], statements[last + 1 :]
    nothing_else = all(sets_only_the_session(s) for s in before) and all(
        sets_only_the_session(s) or s.tag == "NotifyStmt" for s in after
    )
    return (*before, *statements[first + 1 : last], *after) if is_plain and nothing_else else None


def _in_parts(script: Script) -> RunnableScript:
    """The transactions that a file makes of itself. Statements outside of them are one up to the next COMMIT, as for the CLI.

    :raises SqlScriptError: at a transaction that is left open, ended otherwise than by COMMIT, or begun in another.
    """
    statements: list[Statement] = []
    parts: list[Part] = []
    opened: Statement | None = None
    first = 0

    def close() -> None:
        if len(statements) > first:
            parts.append(Part(first, len(statements), opened.sql if opened else "begin"))

    for statement in script.statements:
        if not statement.is_transaction_control:
            if not reason_not_transactional(statement):
                statements.append(statement)
                continue
            if opened:
                raise _not_in_own_transaction(statement)
            close()
            parts.append(Part(len(statements), len(statements) + 1))
            statements.append(statement)
        elif statement.transaction_command in ("BEGIN", "START") and not opened:
            close()
            opened = statement
        elif _is_commit(statement):
            close()
            opened = None
        else:
            raise SqlScriptError(
                f"Transaction control that cannot be kept on record: {statement.sql.upper()}",
                where=statement.position,
                next_step="Write each transaction of the file as a plain BEGIN; ... COMMIT;",
            )
        first = len(statements)
    if opened:
        raise SqlScriptError(
            "The transaction that the file begins here is left open, so nothing of it would be committed",
            where=opened.position,
            next_step="End it with COMMIT; or leave out this BEGIN.",
        )
    close()
    return RunnableScript(script, tuple(statements), True, tuple(parts))


def _is_commit(statement: Statement) -> bool:
    return statement.transaction_command == "COMMIT" and not statement.node.get("chain")


def _not_in_own_transaction(statement: Statement) -> SqlScriptError:
    return SqlScriptError(
        f"{reason_not_transactional(statement)} cannot run in the transaction that the file's own BEGIN opens",
        where=statement.position,
        next_step="Leave out BEGIN and COMMIT, or better, put this statement into a migration of its own.",
    )
