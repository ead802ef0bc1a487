# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of the linter's findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document

LintLevel = Literal["error", "warning", "notice"]


LINT_SEVERITY = {"error": 3, "warning": 2, "notice": 1}


# From which severity on a level to fail at closes; "never" is above all of them.
LINT_FAILS_FROM = {**LINT_SEVERITY, "never": 4}


@dataclass(kw_only=True)
class LintFinding:
    """One thing a linter has to say of a file, with its place, why it matters and what to do; waived or not."""

    code: str
    level: LintLevel
    file: str
    line: int
    column: int
    statement: str
    reason: str
    fix: str
    waived: bool = False
    waiver_reason: str | None = None


@dataclass(kw_only=True)
class FindingGroup:
    """One finding, or the same in many places, as people read it; ``where`` names the first places, from the project's folder on."""

    code: str
    level: LintLevel
    waived: bool
    where: str
    reason: str
    fix: str


@dataclass(kw_only=True)
class LintReport(Document):
    """lint.json: what was found in migrations and rollbacks; ``database`` is None when none was looked at."""

    kind: ClassVar[str] = "lint"
    files: list[str]
    database: str | None
    server_major: int
    excluded: list[str]
    findings: list[LintFinding]
    errors: int
    warnings: int
    notices: int
    waived: int
    duration_seconds: float


@dataclass(kw_only=True)
class LintWaiver:
    """One finding of the linter that a comment in its file accepts, with the reason."""

    code: str
    where: str
    reason: str
