# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gates have to hold against, as a project's inventory says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.gates.approval import ApprovalPolicy
from ansible_collections.pgops.supabase.plugins.module_utils.gates.window import Window
from ansible_collections.pgops.supabase.plugins.module_utils.lint.documents import LintReport
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.documents import MigrationPlan
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import SessionSettings


@dataclass(frozen=True, kw_only=True)
class GatePolicy:
    """What the gates have to hold against. Ages are seconds; what is None is not looked at.

    :param state_dir: where the projects' runs are kept; a project's backups are in C(<state_dir>/<project>/<run>/backup).
    :param lease_owner: who may hold the lease.
    :param waivers: gate to reason.
    :param git_remote: whether to ask the branch's upstream whether it has the pending files too.
    :param git_push: whether the run will push, so that it has to be allowed to.
    :param plan: what would run, for the approval; ``plans_dir`` is where its signatures lie.
    :param window: when migrations may run.
    :param lint: what the linter found in the pending files, or ``lint_failure``, why it could not look.
    """

    project: str
    project_ref: str | None = None
    environment: str | None = None
    supabase_dir: Path | None = None
    state_dir: Path | None = None
    pg_bin: Path | None = None
    lease_owner: str | None = None
    waivers: Mapping[str, object] = field(default_factory=dict)
    statement_timeout_ms: int = 60_000
    lock_timeout_ms: int = 5_000
    max_transaction_age_seconds: float = 300.0
    disk_space_factor: float = 1.0
    max_replication_lag_bytes: int = 268_435_456
    max_backup_age_seconds: float | None = None
    require_rehearsal: bool = False
    max_rehearsal_age_seconds: float | None = None
    git_remote: bool = True
    git_push: bool = False
    plan: MigrationPlan | None = None
    plans_dir: Path | None = None
    allowed_signers: Path | None = None
    approvals: ApprovalPolicy = ApprovalPolicy(0)
    lint: LintReport | None = None
    lint_failure: str | None = None
    lint_fail_level: str = "error"
    window: Window | None = None

    @property
    def settings(self) -> SessionSettings:
        """The bounds of every statement."""
        return SessionSettings(lock_timeout_ms=self.lock_timeout_ms, statement_timeout_ms=self.statement_timeout_ms)


def require_usable(policy: GatePolicy) -> None:
    """See that what is required can be looked at.

    :raises InputError: when a policy asks for what it does not say where to find.
    """
    if policy.require_rehearsal and (policy.state_dir is None or policy.supabase_dir is None):
        raise InputError(
            "A rehearsal is required, but not where rehearsals and migrations are",
            where="require_rehearsal",
            next_step="Give state_dir (project_state_dir) and supabase_dir (project_supabase_dir).",
        )
    if policy.max_backup_age_seconds is not None and policy.state_dir is None:
        raise InputError(
            "A backup is required, but not where backups are",
            where="state_dir",
            next_step="Give state_dir (project_state_dir), the directory of all projects' runs.",
        )
    _require_reachable_approvals(policy)


def _require_reachable_approvals(policy: GatePolicy) -> None:
    required, approvers = policy.approvals.required, set(policy.approvals.approvers)
    if required < 0 or (approvers and required > len(approvers)):
        raise InputError(
            f"{required} people have to approve, and the policy names {len(approvers)}",
            where="approvals_required",
            next_step="Name more approvers (preflight_approvers), or require fewer (preflight_approvals_required).",
        )
    if required and (policy.allowed_signers is None or policy.plans_dir is None):
        raise InputError(
            "Approvals are required, but not whose signatures are allowed, or not where they lie",
            where="allowed_signers" if policy.allowed_signers is None else "plans_dir",
            next_step="Give allowed_signers (preflight_allowed_signers) and plans_dir (project_plans_dir).",
        )
