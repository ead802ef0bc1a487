# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a script fit to run in somebody else's transaction, or outside of one. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import SqlScriptError
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import (
    UNPARSED_COPY,
    Script,
    Statement,
    makes_temporary,
    reason_not_transactional,
)


@dataclass(frozen=True)
class RunnableScript:
    """A script that was found fit to run in somebody else's transaction, or, where it says so, outside of one."""

    script: Script
    statements: tuple[Statement, ...]
    outside_transaction: bool = False


def runnable(script: Script, *, outside_transaction: bool = False) -> RunnableScript:
    """Check that a script can be run.

    :param outside_transaction: whether commands are allowed that PostgreSQL refuses in a transaction block.
    :raises SqlScriptError: at transaction control, at COPY with inline data, and at commands that are not allowed.
    """
    statements = without_outer_transaction(script)
    outside = [statement for statement in statements if reason_not_transactional(statement)]
    if outside and not outside_transaction:
        raise SqlScriptError(
            f"{reason_not_transactional(outside[0])} cannot run in a transaction, so a failure after it could not be undone",
            where=outside[0].position,
            next_step="Use the form without CONCURRENTLY; a rollback has to be one transaction.",
        )
    if outside and len(statements) != len(script.statements):
        raise SqlScriptError(
            f"{reason_not_transactional(outside[0])} cannot run in the transaction that the file's own BEGIN opens",
            where=outside[0].position,
            next_step="Leave out BEGIN and COMMIT, or better, put this statement into a migration of its own.",
        )
    temporary = [statement for statement in statements if outside and makes_temporary(statement)]
    if temporary:
        raise SqlScriptError(
            f"A temporary object does not outlive a run that is cut short, and {reason_not_transactional(outside[0])} makes "
            "this file one that has to be gone on with",
            where=temporary[0].position,
            next_step="Put what cannot run in a transaction into a migration of its own.",
        )
    return RunnableScript(script, statements, bool(outside))


def without_outer_transaction(script: Script) -> tuple[Statement, ...]:
    """The statements to run when somebody else owns the transaction: a file's own outer BEGIN and COMMIT are left out.

    :raises SqlScriptError: at any other transaction control at top level, and at COPY with inline data.
    """
    statements = script.statements
    if (
        len(statements) >= 2
        and statements[0].transaction_command in ("BEGIN", "START")
        and statements[-1].transaction_command == "COMMIT"
    ):
        for control, allowed in ((statements[0], "options"), (statements[-1], "chain")):
            if control.node.get(allowed):
                raise SqlScriptError(
                    f"{control.sql.upper()} asks for a transaction of its own kind, but the runner owns the transaction",
                    where=control.position,
                    next_step="Write a plain BEGIN; and COMMIT; or leave both out.",
                )
        statements = statements[1:-1]
    for statement in statements:
        if statement.is_transaction_control:
            raise SqlScriptError(
                f"Transaction control in the middle of a file: {statement.sql.upper()}. What follows it would run outside "
                "the transaction that protects the database",
                where=statement.position,
                next_step="Remove it, or split the file into two migrations. One BEGIN; ... COMMIT; around the whole file is fine.",
            )
        if statement.tag == "CopyStmt" and "filename" not in statement.node:
            raise SqlScriptError(
                UNPARSED_COPY, where=statement.position, next_step="Write the rows as INSERT statements."
            )
    return statements
