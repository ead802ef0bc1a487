# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lint migrations and their rollbacks: squawk, and what only the batch as a whole and the database can tell."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    InputError,
    VerificationFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.lint.batch import Limits, LintBatch, LintFile
from ansible_collections.pgops.supabase.plugins.module_utils.lint.documents import (
    LINT_FAILS_FROM,
    LINT_SEVERITY,
    LintFinding,
    LintReport,
)
from ansible_collections.pgops.supabase.plugins.module_utils.lint.facts import read_facts
from ansible_collections.pgops.supabase.plugins.module_utils.lint.rollback_rules import ROLLBACK_RULES
from ansible_collections.pgops.supabase.plugins.module_utils.lint.rules import MIGRATION_RULES
from ansible_collections.pgops.supabase.plugins.module_utils.lint.squawk import SquawkFinding, find_squawk, run_squawk
from ansible_collections.pgops.supabase.plugins.module_utils.lint.squawk_findings import judge_squawk
from ansible_collections.pgops.supabase.plugins.module_utils.lint.table_rules import TABLE_RULES
from ansible_collections.pgops.supabase.plugins.module_utils.lint.waivers import apply_waivers, read_waivers
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import discover
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.state import read_state
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    SessionSettings,
    fetch_value,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.sql.script import (
    Script,
    has_byte_order_mark,
    parse_script,
    read_sql_file,
)

FailLevel = Literal["error", "warning", "notice", "never"]

DEFAULT_SERVER_MAJOR = 15


@dataclass(frozen=True)
class LintOptions:
    """How to lint. ``exclude`` holds codes that are not looked for; ``statement_timeout_ms`` bounds each query on rows."""

    fail_level: FailLevel = "error"
    exclude: tuple[str, ...] = ()
    limits: Limits = Limits()
    statement_timeout_ms: int = 10_000
    squawk: Path | None = None


def lint(
    options: LintOptions,
    *,
    files: Sequence[Path] = (),
    supabase_dir: Path | None = None,
    connection_options: ConnectionOptions | None = None,
    document: Path | None = None,
) -> LintReport:
    """Lint the files given, or those of the directory: the pending ones when there is a database, else all.

    :param document: where to write the report.
    :raises VerificationFailed: when a finding of the level to fail at is not waived; the report is in its details.
    :raises SqlScriptError: when a file cannot be read or does not parse.
    :raises MigrationFileError: when the migrations directory is not usable.
    :raises ToolError: when squawk is missing or fails.
    :raises ConnectionFailed: when the database cannot be reached.
    """
    started = time.monotonic()
    program = find_squawk(options.squawk)
    if connection_options is None:
        batch = LintBatch(_read(_paths(files, supabase_dir)), None, options.limits)
        database, major = None, DEFAULT_SERVER_MAJOR
    else:
        settings = SessionSettings(
            statement_timeout_ms=options.statement_timeout_ms, row_security=False, read_only=True
        )
        with session(connection_options, settings) as connection:
            paths = list(files)
            if supabase_dir is not None:
                entries, _ledger = read_state(connection, discover(supabase_dir))
                paths = [Path(e.file) for e in entries if e.file and e.state in ("pending", "out_of_order")]
            batch = LintBatch(_read(paths), None, options.limits)
            batch = replace(batch, facts=read_facts(connection, batch))
            database = str(fetch_value(connection, "select pg_catalog.current_database()"))
            major = connection.server_version // 10_000
    texts = {file.script.file: file.script.text for file in batch.files}
    found = run_squawk(program, texts, major) if texts else []
    findings = judge(batch, found, options.exclude)
    report = _report(batch, findings, options, database, major, time.monotonic() - started)
    if document:
        write_json(document, report.as_dict())
    _require_none_to_fail(report, options.fail_level)
    return report


def judge(batch: LintBatch, found: Sequence[SquawkFinding], exclude: Sequence[str] = ()) -> list[LintFinding]:
    """All findings of a batch, in the order of the files, with the waivers applied; pure."""
    rules = (*MIGRATION_RULES, *TABLE_RULES, *ROLLBACK_RULES)
    ours = [item for item in chain.from_iterable(rule(batch) for rule in rules) if item.code not in exclude]
    findings = [*ours, *(item for item in judge_squawk(batch, found, ours) if item.code not in exclude)]
    waivers = [waiver for script in _scripts(batch) for waiver in read_waivers(script)]
    order = {script.file: number for number, script in enumerate(_scripts(batch))}
    return sorted(
        apply_waivers(findings, waivers, exclude),
        key=lambda item: (order[item.file], item.line, item.column, item.code),
    )


def _scripts(batch: LintBatch) -> Iterator[Script]:
    for file in batch.files:
        yield file.script
        if file.rollback:
            yield file.rollback


def _paths(files: Sequence[Path], supabase_dir: Path | None) -> list[Path]:
    return [file.path for file in discover(supabase_dir)] if supabase_dir is not None else list(files)


def _read(paths: Sequence[Path]) -> list[LintFile]:
    """Read migrations; the rollback of ``migrations/x.sql`` is ``rollbacks/x.sql`` beside that folder."""
    read = []
    for path in paths:
        if not path.is_file():
            raise InputError("There is no such file", where=str(path), next_step="Correct files.")
        rollback = path.parent.parent / "rollbacks" / path.name
        script = _script(rollback) if rollback.is_file() else None
        read.append(LintFile(_script(path), script, str(rollback), has_byte_order_mark(path)))
    return read


def _script(path: Path) -> Script:
    return parse_script(str(path), read_sql_file(path))


def _report(
    batch: LintBatch,
    findings: list[LintFinding],
    options: LintOptions,
    database: str | None,
    major: int,
    seconds: float,
) -> LintReport:
    open_levels = [item.level for item in findings if not item.waived]
    return LintReport(
        files=[file.script.file for file in batch.files],
        database=database,
        server_major=major,
        excluded=sorted(options.exclude),
        findings=findings,
        errors=open_levels.count("error"),
        warnings=open_levels.count("warning"),
        notices=open_levels.count("notice"),
        waived=len(findings) - len(open_levels),
        duration_seconds=round(seconds, 3),
    )


def _require_none_to_fail(report: LintReport, fail_level: FailLevel) -> None:
    failing = [f for f in report.findings if not f.waived and LINT_SEVERITY[f.level] >= LINT_FAILS_FROM[fail_level]]
    if not failing:
        return
    lines = [f"{f.code} ({f.level}) at {f.file}:{f.line}:{f.column}: {f.reason}\n  Fix: {f.fix}" for f in failing]
    count = "1 finding" if len(failing) == 1 else f"{len(failing)} findings"
    raise VerificationFailed(
        f"The migrations have {count} that must not pass:\n" + "\n".join(lines),
        where=f"{failing[0].file}:{failing[0].line}:{failing[0].column}",
        next_step="Correct the files, or accept a finding with a comment above its statement: -- pgops: allow <code> <reason>",
        details={"result": {"lint": report.as_dict()}},
    )
