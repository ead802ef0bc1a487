# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validations in a session of their own: files and declared checks in, one report out, the database as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    NOTHING_CHANGED,
    InputError,
    SqlScriptError,
    VerificationFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    execute,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import (
    created_names,
    parse_script,
    read_sql_file,
)
from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import Stage, ValidationReport
from ansible_collections.pgops.supabase.plugins.module_utils.validation.reader import (
    ValidationScript,
    read_validation_script,
    refuse_what_cannot_be_undone,
)
from ansible_collections.pgops.supabase.plugins.module_utils.validation.script import DeclaredCheck, run_validation
from ansible_collections.pgops.supabase.plugins.module_utils.validation.verdicts import failing_checks

_APPLIED_STAYS = "the checks changed nothing; what was applied before them stays applied"


def read_validation_scripts(paths: Sequence[Path]) -> tuple[ValidationScript, ...]:
    """Read all scripts before anything runs, so that a bad one stops the job while nothing has happened.

    :raises SqlScriptError: see :func:`read_validation_script`.
    """
    return tuple(read_validation_script(path) for path in paths)


def read_declared_checks(declared: Sequence[Mapping[str, Any]]) -> tuple[DeclaredCheck, ...]:
    """Checks as a user writes them, each with name, query, expect and, if need be, always.

    :raises InputError: when an expectation is not JMESPath.
    :raises SqlScriptError: when a query is not exactly one statement that can be undone.
    """
    import jmespath
    from jmespath.exceptions import JMESPathError

    checks = []
    for number, item in enumerate(declared):
        check = DeclaredCheck(item["name"], item["query"], item["expect"], bool(item.get("always")))
        place = f"checks[{number}].query ({check.name})"
        statements = parse_script(place, check.query).statements
        if len(statements) != 1 or statements[0].is_transaction_control:
            raise SqlScriptError(
                f"The query of check {check.name} has to be exactly one statement that returns rows",
                where=place,
                next_step="Split it into several checks, or write it as a validation script.",
            )
        refuse_what_cannot_be_undone(statements[0])
        try:
            jmespath.compile(check.expect)
        except JMESPathError as error:
            raise InputError(
                f"The expectation of check {check.name} is not JMESPath: {error}",
                where=f"checks[{number}].expect",
                next_step="For example [0].count == `0`, or length(@) == `0`; see https://jmespath.org",
            ) from error
        checks.append(check)
    return tuple(checks)


def names_created_by(pending_files: Sequence[Path]) -> frozenset[str]:
    """The bare names that migrations create: what a validation may miss before they are applied.

    :raises SqlScriptError: when a file cannot be read or parsed.
    """
    names: frozenset[str] = frozenset()
    for path in pending_files:
        names |= created_names(parse_script(str(path), read_sql_file(path)))
    return names


def validate(
    options: ConnectionOptions,
    paths: Sequence[Path],
    *,
    stage: Stage,
    checks: Sequence[Mapping[str, Any]] = (),
    pending_files: Sequence[Path] = (),
    warnings_as_failures: bool = False,
    lock_timeout_ms: int | None = None,
    statement_timeout_ms: int | None = None,
    run_dir: Path | None = None,
) -> ValidationReport:
    """Run validations in a session of their own, whatever their verdict.

    :param run_dir: where the report is written as C(validation-before.json) or C(validation-after.json); a V(dry_run)'s is
        part of the dry run's own document.
    :raises InputError: when there is nothing to run, or a file or check is not usable; nothing was connected to then.
    :raises ConnectionFailed: when there is no session or it is lost.
    """
    if not paths and not checks:
        raise InputError(
            "There is nothing to validate", where="files", next_step="Name validation scripts (files) or checks."
        )
    scripts, declared = read_validation_scripts(paths), read_declared_checks(checks)
    pending_names = names_created_by(pending_files)
    settings = SessionSettings(lock_timeout_ms=lock_timeout_ms, statement_timeout_ms=statement_timeout_ms)
    with session(options, settings) as connection:
        execute(connection, "select 1")
        report = run_validation(
            connection,
            scripts,
            stage=stage,
            checks=declared,
            pending_names=pending_names,
            warnings_as_failures=warnings_as_failures,
        )
        connection.rollback()
    if run_dir and stage != "dry_run":
        write_json(run_dir / f"validation-{stage}.json", report.as_dict())
    return report


def validate_or_fail(
    options: ConnectionOptions, paths: Sequence[Path], *, warnings_as_failures: bool = False, **how: Any
) -> ValidationReport:
    """:func:`validate`, and stop when the verdict is V(FAIL): see :func:`require_passed`."""
    report = validate(options, paths, warnings_as_failures=warnings_as_failures, **how)
    require_passed(report, warnings_as_failures=warnings_as_failures)
    return report


def require_passed(report: ValidationReport, *, warnings_as_failures: bool = False) -> None:
    """Stop when a validation did not pass.

    :raises VerificationFailed: naming each failing check with its place; the whole report is in C(details["result"]).
    """
    if report.verdict != "FAIL":
        return
    failing = failing_checks(report.checks, report.stage, warnings_as_failures)
    listed = "\n".join(f"  {check.verdict} {check.name} ({check.where}): {check.message}" for check in failing)
    raise VerificationFailed(
        f"{len(failing)} of {number(len(report.checks), 'check')} failed in the {report.stage} stage:\n{listed}",
        where=failing[0].where,
        state=_APPLIED_STAYS if report.stage == "after" else NOTHING_CHANGED,
        next_step="Correct the data or the schema (or the check, if it is wrong), then validate again.",
        details={"result": {"validation": report.as_dict()}},
    )
