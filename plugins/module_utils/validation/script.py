# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation scripts and declared checks, run on an open transaction that stays as it was.

What a transaction cannot take back stays: sequences keep the numbers they gave out, session-level advisory locks last until
the session ends, and what a function does through a session of its own (dblink, pg_net) is done.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import Position
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.transactions import (
    detail_without_rows,
    message_without_values,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import Script
from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import (
    Check,
    CheckRow,
    Place,
    Stage,
    ValidationReport,
)
from ansible_collections.pgops.supabase.plugins.module_utils.validation.reader import (
    ValidationScript,
    read_validation_script,
)
from ansible_collections.pgops.supabase.plugins.module_utils.validation.session import (
    Outcome,
    move,
    run_statement,
    undone,
)
from ansible_collections.pgops.supabase.plugins.module_utils.validation.verdicts import (
    message_of_row,
    missing_names,
    name_of_cell,
    name_of_notice,
    overall_verdict,
    plain_value,
    text_of_notice,
    verdict_cells,
    verdict_of,
    worst_verdict,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

__all__ = ["DeclaredCheck", "ValidationScript", "read_validation_script", "run_validation"]

_SHOWN_ROWS_CHARACTERS = 500
_SHOWN_ROWS = 5
# What is written to be looked at; all else prepares or cleans up.
_TO_SAY_SOMETHING = frozenset({"SelectStmt", "DoStmt", "CallStmt", "ExecuteStmt"})


@dataclass(frozen=True)
class DeclaredCheck:
    """A check beside the scripts: a query, and a JMESPath expression over its rows that has to be true.

    The rows are a list of mappings from column to value; see ``plain_value`` for how values are written. True is what is true
    in Python: V(0), an empty list, an empty text and null are not.
    """

    name: str
    query: str
    expect: str
    always: bool = False


@dataclass(frozen=True)
class _Context:
    """What is known about the statement that runs."""

    title: str
    section: str
    always: bool
    position_of: Callable[[int], Position | str]


def run_validation(
    connection: PgConnection,
    scripts: Sequence[ValidationScript],
    *,
    stage: Stage,
    checks: Sequence[DeclaredCheck] = (),
    pending_names: frozenset[str] = frozenset(),
    warnings_as_failures: bool = False,
) -> ValidationReport:
    """Run validations inside the caller's open transaction, which is left exactly as it was.

    Each script, and the declared checks together, run below a savepoint that is always rolled back to: rows, objects,
    settings, role and search_path are as before, and one script does not see what another did. An error in one statement is
    a failed check; the next statement runs all the same.

    :param pending_names: the names that pending migrations create; in the V(before) stage an error about a missing one is
        a V(SKIP).
    :raises ValueError: when the connection has no open, healthy transaction.
    :raises ConnectionFailed: when the session is lost.
    """
    from psycopg2 import extensions

    if connection.info.transaction_status != extensions.TRANSACTION_STATUS_INTRANS:
        raise ValueError("a validation needs an open transaction that has not failed")
    started_at, clock = utc_now(), time.monotonic()
    found: list[Check] = []
    silent: list[Place] = []
    expected = pending_names if stage == "before" else frozenset()
    for script in scripts:
        with undone(connection):
            of_script = list(_run_script(connection, script, expected, silent))
        found.extend(of_script or [_nothing_found(script)])
    if checks:
        with undone(connection):
            found.extend(check for item in checks for check in _run_declared(connection, item, expected))
    verdicts = [check.verdict for check in found]
    return ValidationReport(
        stage=stage,
        files=[script.file for script in scripts],
        started_at=started_at,
        duration_seconds=round(time.monotonic() - clock, 3),
        checks=found,
        verdict=overall_verdict(found, stage, warnings_as_failures),
        passed=verdicts.count("PASS"),
        failed=verdicts.count("FAIL"),
        warnings=verdicts.count("WARNING"),
        skipped=verdicts.count("SKIP"),
        silent=silent,
        skipped_commands=[place for script in scripts for place in script.skipped],
    )


def _run_script(
    connection: PgConnection, script: ValidationScript, expected: frozenset[str], silent: list[Place]
) -> Iterator[Check]:
    for item in script.statements:
        if item.savepoint:
            move(connection, item.savepoint)
            continue
        context = _Context(item.title, item.section, item.always, partial(_place, script.script, item.statement.offset))
        outcome = run_statement(connection, item.statement.sql)
        said = list(_verdicts(outcome, context))
        yield from said
        if outcome.error or outcome.broken_setting:
            yield _error_check(outcome, context, item.statement.sql, expected)
        elif not said and item.statement.tag in _TO_SAY_SOMETHING:
            silent.append(Place(name=item.title, where=str(item.statement.position)))


def _place(script: Script, start_of_statement: int, offset: int) -> Position:
    return script.position_of(start_of_statement + offset)


def _run_declared(connection: PgConnection, check: DeclaredCheck, expected: frozenset[str]) -> Iterator[Check]:
    import jmespath
    from jmespath.exceptions import JMESPathError

    place = f"check {check.name}"
    context = _Context(check.name, "declared checks", check.always, lambda _offset: place)
    outcome = run_statement(connection, check.query)
    if outcome.error or outcome.broken_setting:
        yield _error_check(outcome, context, check.query, expected)
        return
    if len(set(outcome.columns)) != len(outcome.columns):
        yield _check(context, "FAIL", f"two columns have the same name: {', '.join(outcome.columns)}", "declared")
        return
    rows = [
        {c: plain_value(v, t) for c, v, t in zip(outcome.columns, row, outcome.types, strict=True)}
        for row in outcome.rows
    ]
    try:
        holds = bool(jmespath.search(check.expect, rows))
        answer = ""
    except JMESPathError as error:
        holds, answer = False, f" ({error})"
    shown = json.dumps(rows, ensure_ascii=False)
    if len(shown) > _SHOWN_ROWS_CHARACTERS:
        shown = f"{shown[:_SHOWN_ROWS_CHARACTERS]} ... ({len(rows)} rows)"
    message = f"{check.expect} {'holds' if holds else 'does not hold'}{answer} for {shown}"
    yield _check(context, "PASS" if holds else "FAIL", message, "declared")


def _verdicts(outcome: Outcome, context: _Context) -> Iterator[Check]:
    for notice in outcome.notices:
        text = text_of_notice(notice)
        said = verdict_of(text)
        if said:
            verdict, rest = said
            yield _check(context, verdict, rest, "notice", name=name_of_notice(rest, context.title))
    rows = [of_row for row in outcome.rows if (of_row := list(_said_by(row, outcome.columns, context)))]
    if len(rows) > 1:
        yield _check_of_rows([found for of_row in rows for found in of_row], context)
    else:
        for found in (found for of_row in rows for found in of_row):
            yield _check(context, found.verdict, found.message, "cell", name=found.name)


def _said_by(row: Sequence[Any], columns: Sequence[str], context: _Context) -> Iterator[CheckRow]:
    for index, verdict, rest in verdict_cells(row):
        name = name_of_cell(columns, row, index, rest, context.title)
        yield CheckRow(name=name, verdict=verdict, message=message_of_row(columns, row, index, rest, name))


def _check_of_rows(rows: list[CheckRow], context: _Context) -> Check:
    """One check of all that a statement said, which begins with what is worst."""
    worst = worst_verdict([row.verdict for row in rows])
    of_worst = [row for row in rows if row.verdict == worst]
    shown = "; ".join(f"{row.name}: {row.message}".removesuffix(": ") for row in of_worst[:_SHOWN_ROWS])
    more = f" and {len(of_worst) - _SHOWN_ROWS} more" if len(of_worst) > _SHOWN_ROWS else ""
    message = f"{len(of_worst)} of {len(rows)} rows: {shown}{more}"
    return dataclasses.replace(_check(context, worst, message, "cell"), rows=rows)


def _error_check(outcome: Outcome, context: _Context, sql: str, expected: frozenset[str]) -> Check:
    if outcome.error is None:
        message = f"the statement changes {outcome.broken_setting}, which decides how the server reads the next ones"
        return _check(context, "FAIL", message, "error")
    diagnosis = outcome.error.diag
    message, sqlstate = message_without_values(outcome.error), str(outcome.error.pgcode)
    offset = int(diagnosis.statement_position) - 1 if diagnosis.statement_position else None
    if diagnosis.internal_query and diagnosis.internal_position:
        missing = missing_names(sqlstate, message, diagnosis.internal_query, int(diagnosis.internal_position) - 1)
    else:
        missing = missing_names(sqlstate, message, sql, offset)
    if missing & expected:
        there_is_no = f"not there yet: created by the pending migrations ({message})"
        return _check(context, "SKIP", there_is_no, "error", offset=offset or 0)
    details = [message, detail_without_rows(outcome.error), diagnosis.message_hint]
    text = f"{'. '.join(part for part in details if part)} (SQLSTATE {sqlstate})"
    return _check(context, "FAIL", text, "error", offset=offset or 0)


def _nothing_found(script: ValidationScript) -> Check:
    message = "no verdict found: no cell, NOTICE or WARNING begins with PASS, FAIL, WARNING or SKIP, in whatever case"
    where = Position(script.file, 1, 1)
    name = f"verdicts of {Path(script.file).name}"
    return Check(name=name, verdict="FAIL", message=message, where=str(where), section="", source="error")


def _check(
    context: _Context, verdict: Any, message: str, source: Any, *, name: str | None = None, offset: int = 0
) -> Check:
    return Check(
        name=name or context.title,
        verdict=verdict,
        message=message,
        where=str(context.position_of(offset)),
        section=context.section,
        source=source,
        always=context.always,
    )
