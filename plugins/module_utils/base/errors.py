# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The typed errors of the engine.

Every error answers four questions an operator has at 3 a.m.: what happened, where, in which state the database is
now, and what to type next. The engine raises; only the edge (``module.py``) turns an error into ``fail_json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Outcome = Literal["unchanged", "committed", "partial", "unknown"]


class State(str):
    """A sentence about the state the database and the files are in, with its outcome, by which programs decide.

    A plain sentence says that the database is as it was before: V(unchanged).
    V(committed) says that all that was asked for is committed, V(partial) that some of it is and the rest is not done,
    V(unknown) that nobody can tell before somebody looks.
    """

    outcome: Outcome

    def __new__(cls, sentence: str, outcome: Outcome = "unchanged") -> State:
        """A sentence with its outcome."""
        state = super().__new__(cls, sentence)
        state.outcome = outcome
        return state


NOTHING_CHANGED = State("nothing was changed")


@dataclass(frozen=True)
class Position:
    """A place in a file, for a person and for an editor: line and column count from 1, in characters."""

    file: str
    line: int
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class PgopsError(Exception):
    """The base of all errors that a user may meet.

    :param what: what happened, one sentence without a final period.
    :param where: a :class:`Position`, a path or the name of a server object.
    :param state: the state of the database and the files now, a plain sentence where the database is as before, and else a
        :class:`State`; by default nothing was changed.
    :param next_step: what the user types or does next.
    :param details: plain, JSON-compatible facts for automation (SQLSTATE, versions, partial results).
    """

    code: ClassVar[str] = "error"

    def __init__(
        self,
        what: str,
        *,
        where: Position | str | None = None,
        state: str = NOTHING_CHANGED,
        next_step: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = None if where is None else str(where)
        self.state = str(state)
        self.outcome: Outcome = state.outcome if isinstance(state, State) else "unchanged"
        self.next_step = next_step
        self.details = dict(details or {})

    def message(self) -> str:
        """The text that is shown to a person."""
        lines = [self.what if self.what.endswith(("?", "!")) else self.what.rstrip(".") + "."]
        if self.where:
            lines.append(f"Where: {self.where}")
        lines.append(f"State: {self.state.rstrip('.')}.")
        if self.next_step:
            lines.append(f"Next: {self.next_step}")
        return "\n".join(lines)

    __str__ = message

    def as_dict(self) -> dict[str, Any]:
        """The same for automation: what a module returns as RV(error)."""
        return {
            "code": self.code,
            "what": self.what,
            "where": self.where,
            "outcome": self.outcome,
            "state": self.state,
            "next_step": self.next_step,
            "details": self.details,
        }


def reason_of(error: Exception) -> str:
    """What happened, for a sentence about something else that could not be done because of it."""
    return error.what if isinstance(error, PgopsError) else str(error).strip()


class InputError(PgopsError):
    """An option, a file or a document is not usable; found before anything was touched."""

    code = "input"


class MigrationFileError(InputError):
    """The migrations directory or a file in it is not usable."""

    code = "migration_file"


class SqlScriptError(InputError):
    """A SQL file cannot be read, split or run safely."""

    code = "sql_script"


class ConnectionFailed(PgopsError):
    """No session could be opened, or it was lost."""

    code = "connection"


class PrivilegeError(PgopsError):
    """The role may not see or do what the job needs."""

    code = "privilege"


class ToolError(PgopsError):
    """A PostgreSQL program (pg_dump, pg_restore, initdb ...) is missing, too old, or failed."""

    code = "tool"


class HistoryError(PgopsError):
    """Files, Supabase's history and the ledger do not agree."""

    code = "history"


class BusyError(PgopsError):
    """Another run holds the project."""

    code = "busy"


class StatementFailed(PgopsError):
    """PostgreSQL refused a statement; RV(error.details) holds the SQLSTATE."""

    code = "statement"


class VerificationFailed(PgopsError):
    """A check, a row count or a fingerprint is not what it has to be."""

    code = "verification"


class NotSeen(PgopsError):
    """What is committed could not be looked at. Nothing is known to be wrong, so nothing is taken back for it."""

    code = "not_seen"


class BackupError(PgopsError):
    """A backup could not be made or is not sound."""

    code = "backup"


class CountError(PgopsError):
    """Rows could not be counted exactly."""

    code = "row_counts"


class RollbackError(PgopsError):
    """A rollback could not be made."""

    code = "rollback"


class RestoreError(PgopsError):
    """A restore could not be made, or was refused."""

    code = "restore"


class ConsentNeeded(RestoreError):
    """A restore would replace data, and nobody has agreed to exactly that; RV(error.details) holds what would be lost."""

    code = "consent"


class LocalProjectError(PgopsError):
    """A local server could not be made, started or removed."""

    code = "local_project"


class TypesError(PgopsError):
    """The types of the application could not be generated, or are not those of the catalog."""

    code = "types"


class PublishError(PgopsError):
    """What a run made could not be committed or pushed."""

    code = "publish"
