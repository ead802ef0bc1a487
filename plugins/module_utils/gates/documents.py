# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shapes of gates, signatures and waivers."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import Document
from ansible_collections.pgops.supabase.plugins.module_utils.lint.documents import LintWaiver
from ansible_collections.pgops.supabase.plugins.module_utils.validation.documents import Verdict

GateVerdict = Literal["PASS", "WARNING", "SKIP", "WAIVED", "FAIL"]


@dataclass(kw_only=True)
class GateResult:
    """One gate: what was found, whether that is good enough, who let it pass all the same, and what to do next."""

    name: str
    verdict: GateVerdict
    evidence: str
    waiver: str | None = None
    next_step: str | None = None


@dataclass(kw_only=True)
class Approval:
    """One signature of the plan's hash that counts: whose, by which key, in which file."""

    principal: str
    key: str
    file: str


@dataclass(kw_only=True)
class PreflightReport(Document):
    """preflight.json: every gate before a run. ``waivers`` are the reasons given, also for gates that needed none."""

    kind: ClassVar[str] = "preflight"
    project: str
    project_ref: str | None
    environment: str | None
    database: str
    server_version: str
    checked_at: str
    duration_seconds: float
    gates: list[GateResult]
    waivers: dict[str, str]
    verdict: Verdict
    plan_hash: str | None = None
    approvals: list[Approval] = dataclasses.field(default_factory=list)
    lint_waivers: list[LintWaiver] = dataclasses.field(default_factory=list)
