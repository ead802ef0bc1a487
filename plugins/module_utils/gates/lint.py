# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate of the linter: what its findings in the pending files are worth. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import given_document
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.gates.rules import Judgement, shown_list
from ansible_collections.pgops.supabase.plugins.module_utils.lint.documents import (
    LINT_FAILS_FROM,
    LINT_SEVERITY,
    LintFinding,
    LintReport,
    LintWaiver,
)
from ansible_collections.pgops.supabase.plugins.module_utils.lint.groups import grouped
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.documents import MigrationPlan


def given_report(report: Any) -> LintReport | None:
    """An option that holds what M(pgops.supabase.migration_lint) returned, or the path of its file.

    :raises InputError: when it is something else.
    """
    if not report:
        return None
    return given_document(
        LintReport,
        report,
        option="lint",
        refusal="This is not a report of the linter",
        next_step="Give what the module migration_lint returned as lint, or the path of its lint.json.",
    )


def judge_lint(
    report: LintReport | None, failure: str | None, plan: MigrationPlan | None, fail_level: str
) -> Judgement:
    """Nothing that the linter finds in the pending files is as bad as the level, unless it is accepted where it stands.

    :param failure: why the files could not be linted, if they could not.
    """
    if failure:
        return Judgement(
            "FAIL",
            f"the evidence cannot be read: {failure.splitlines()[0].rstrip('.')}",
            "Mend what the linter says (pip install -r requirements.txt has squawk-cli), then run again.",
        )
    if report is None:
        return Judgement("SKIP", "the pending files were not linted (lint)")
    if plan is not None and (missing := _not_linted(report, plan)):
        return Judgement("FAIL", f"these pending files were not linted: {shown_list(missing)}", "Lint what is pending.")
    open_findings = [item for item in report.findings if not item.waived]
    failing = [item for item in open_findings if LINT_SEVERITY[item.level] >= LINT_FAILS_FROM[fail_level]]
    counts = (
        f"{number(report.errors, 'error')}, {number(report.warnings, 'warning')}, {number(report.notices, 'notice')}, "
        f"{report.waived} accepted in the files"
    )
    if failing:
        return Judgement(
            "FAIL",
            f"{counts}: {shown_list(_sentences(failing))}",
            f"{failing[0].fix} Or accept a finding with a comment above its statement: "
            f"-- pgops: allow {failing[0].code} <why this is safe here>",
        )
    telling = [item for item in open_findings if item.level != "notice"]
    if telling:
        # Why stands where the findings are shown, directly above the gates.
        places = [f"{group.code} at {group.where}" for group in grouped(telling)]
        return Judgement("WARNING", f"{counts}: {shown_list(places)}", telling[0].fix)
    return Judgement("PASS", counts)


def accepted_findings(report: LintReport | None) -> list[LintWaiver]:
    """The findings that comments in the files accept, for the record."""
    return [
        LintWaiver(code=item.code, where=f"{item.file}:{item.line}", reason=item.waiver_reason or "")
        for item in (report.findings if report else ())
        if item.waived
    ]


def _not_linted(report: LintReport, plan: MigrationPlan) -> list[str]:
    linted = tuple(f"/{file}" for file in report.files)
    return [
        migration.file
        for step in plan.steps
        for migration in step.migrations
        if not any(file.endswith(f"/{migration.file}") for file in linted)
    ]


def _sentences(findings: Sequence[LintFinding]) -> list[str]:
    return [f"{group.code} at {group.where}, {group.reason}" for group in grouped(findings)]
