# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of what validation scripts say, and the words of a verdict."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document

Verdict = Literal["PASS", "WARNING", "SKIP", "FAIL"]


Stage = Literal["before", "dry_run", "after"]


@dataclass(kw_only=True)
class CheckRow:
    """One of several rows of a statement, with its own verdict."""

    name: str
    verdict: Verdict
    message: str


@dataclass(kw_only=True)
class Place:
    """Something of a script that is no check, and where it stands."""

    name: str
    where: str


@dataclass(kw_only=True)
class Check:
    """One verdict of a validation script, or of a declared check.

    Several rows of one statement are one check with the worst of their verdicts; ``rows`` are all of them then.
    """

    name: str
    verdict: Verdict
    message: str
    where: str
    section: str
    source: Literal["cell", "notice", "error", "declared"]
    always: bool = False
    rows: list[CheckRow] = dataclasses.field(default_factory=list)


@dataclass(kw_only=True)
class ValidationReport(Document):
    """validation-before.json, validation-after.json.

    ``silent`` are the statements that were to say something and gave no verdict, ``skipped_commands`` those of psql's that only
    show something, which are not run.
    """

    kind: ClassVar[str] = "validation"
    stage: Stage
    files: list[str]
    started_at: str
    duration_seconds: float
    checks: list[Check]
    verdict: Verdict
    passed: int
    failed: int
    warnings: int
    skipped: int
    silent: list[Place] = dataclasses.field(default_factory=list)
    skipped_commands: list[Place] = dataclasses.field(default_factory=list)
