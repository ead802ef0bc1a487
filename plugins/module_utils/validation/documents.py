# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of what validation scripts say, and the words of a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document

Verdict = Literal["PASS", "WARNING", "SKIP", "FAIL"]


Stage = Literal["before", "dry_run", "after"]


@dataclass(kw_only=True)
class Check:
    """One verdict of a validation script, or of a declared check."""

    name: str
    verdict: Verdict
    message: str
    where: str
    section: str
    source: Literal["cell", "notice", "error", "declared"]
    always: bool = False


@dataclass(kw_only=True)
class ValidationReport(Document):
    """validation-before.json, validation-after.json."""

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
