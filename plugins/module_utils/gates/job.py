# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gates before a run: each looked at, judged, waived or not, and all of them in one table.

A gate whose evidence cannot be read is closed. It says why, and the others are looked at all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import find_backups
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import utc_now
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    NOTHING_CHANGED,
    PgopsError,
    VerificationFailed,
)
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.gates import evidence, rules
from ansible_collections.pgops.supabase.plugins.module_utils.gates import git as git_evidence
from ansible_collections.pgops.supabase.plugins.module_utils.gates.approval import (
    approvals_that_count,
    judge_approval,
)
from ansible_collections.pgops.supabase.plugins.module_utils.gates.documents import Approval, PreflightReport
from ansible_collections.pgops.supabase.plugins.module_utils.gates.facts import Wanted, wanted_project
from ansible_collections.pgops.supabase.plugins.module_utils.gates.git import judge_git
from ansible_collections.pgops.supabase.plugins.module_utils.gates.lint import accepted_findings, judge_lint
from ansible_collections.pgops.supabase.plugins.module_utils.gates.policy import GatePolicy, require_usable
from ansible_collections.pgops.supabase.plugins.module_utils.gates.rehearsal import judge_rehearsal
from ansible_collections.pgops.supabase.plugins.module_utils.gates.rules import Judgement
from ansible_collections.pgops.supabase.plugins.module_utils.gates.signatures import keygen_program, read_approvals
from ansible_collections.pgops.supabase.plugins.module_utils.gates.table import (
    GATES,
    gate_result,
    overall,
    require_valid_waivers,
)
from ansible_collections.pgops.supabase.plugins.module_utils.gates.window import judge_window
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.lease import read_lease
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.files import MigrationFile, discover
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.state import read_state
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import (
    ConnectionOptions,
    execute,
    server_version,
    session,
)
from ansible_collections.pgops.supabase.plugins.module_utils.publish.git import git_program
from ansible_collections.pgops.supabase.plugins.module_utils.rehearsal.records import (
    find_rehearsals,
    hashes_of,
    rehearsal_key,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

DOCUMENT_NAME = "preflight.json"
_NEXT_STEPS = {
    "42501": "Connect as postgres (login_user), or have its owner grant what is missing to the role.",
    "57014": "Raise statement_timeout_seconds, or look at what keeps the server so busy.",
    "55P03": "Look at who holds the lock: select * from pg_locks where not granted; then run again.",
}


def check_gates(
    options: ConnectionOptions, policy: GatePolicy, *, pretend: bool = False, run_dir: Path | None = None
) -> PreflightReport:
    """Look at every gate. Nothing is written to the database.

    :param pretend: this is a dry run, before which nobody has to have approved.
    :param run_dir: where the report is written as C(preflight.json), whatever its verdict.
    :raises InputError: when the policy is not usable; nothing was connected to then.
    :raises ConnectionFailed: when there is no session.
    """
    waivers = require_valid_waivers(policy.waivers)
    require_usable(policy)
    checked_at, started = utc_now(), time.monotonic()
    # Without settings, which a pooler may refuse: that is the pooler gate's to say.
    with session(options) as connection:
        connection.set_session(readonly=True)
        look = _Look(connection, options, policy, pretend)
        version = look.bounded(server_version)
        gates = [gate_result(name, _judge(look, name), waivers) for name in GATES]
    report = PreflightReport(
        project=policy.project,
        project_ref=policy.project_ref,
        environment=policy.environment,
        database=options.login_db,
        server_version=version,
        checked_at=checked_at,
        duration_seconds=round(time.monotonic() - started, 3),
        gates=gates,
        waivers=waivers,
        plan_hash=policy.plan.plan_hash if policy.plan else None,
        approvals=look.approvals,
        lint_waivers=accepted_findings(policy.lint),
        verdict=overall(gates),
    )
    if run_dir:
        write_json(run_dir / DOCUMENT_NAME, report.as_dict())
    return report


def require_open_gates(report: PreflightReport, options: ConnectionOptions) -> None:
    """Stop when a gate is closed and not waived.

    :raises VerificationFailed: naming each with its evidence and next step; the whole table is in C(details["result"]).
    """
    closed = [gate for gate in report.gates if gate.verdict == "FAIL"]
    if not closed:
        return
    listed = "\n".join(f"  {gate.name}: {gate.evidence}\n    Next: {gate.next_step}" for gate in closed)
    names = ", ".join(gate.name for gate in closed)
    # A tuple: a failure's lists are shown without what is in order, and of this table everything counts.
    table = {**report.as_dict(), "gates": tuple(report.as_dict()["gates"])}
    are = "is" if len(closed) == 1 else "are"
    # Another run's lease is waited for: whoever waived it would be refused the lease itself.
    first = next((gate.name for gate in closed if gate.name != "lease"), None)
    or_waive = f", or waive it with a reason: waivers: {{{first}: why}}" if first else ""
    raise VerificationFailed(
        f"{len(closed)} of {number(len(report.gates), 'gate')} {are} closed: {names}\n{listed}",
        where=options.place,
        state=NOTHING_CHANGED,
        next_step=f"Do what stands at each gate{or_waive}",
        details={"result": {"changed": False, "preflight": table}},
    )


@dataclass
class _Look:
    """One look at a project: the session, and what several gates need."""

    connection: PgConnection
    options: ConnectionOptions
    policy: GatePolicy
    pretend: bool
    approvals: list[Approval] = field(default_factory=list)

    def bounded(self, read: Callable[[PgConnection], Any]) -> Any:
        """Read something in a transaction of its own whose statements are bounded, and leave it."""
        try:
            timeouts = (self.policy.statement_timeout_ms, self.policy.lock_timeout_ms)
            execute(self.connection, "set local statement_timeout = %s; set local lock_timeout = %s", timeouts)
            return read(self.connection)
        finally:
            if not self.connection.closed:
                self.connection.rollback()

    @cached_property
    def wanted(self) -> Wanted:
        """The project as the inventory names it."""
        policy = self.policy
        return wanted_project(
            self.options, project=policy.project, ref=policy.project_ref, environment=policy.environment
        )

    def pending(self) -> list[MigrationFile]:
        """The files that are not applied yet."""
        if self.policy.supabase_dir is None:
            return []
        files = discover(self.policy.supabase_dir)
        entries, _ledger = self.bounded(lambda connection: read_state(connection, files))
        waiting = {entry.version for entry in entries if entry.state in ("pending", "out_of_order")}
        return [file for file in files if file.version in waiting]


def _judge(look: _Look, name: str) -> Judgement:
    import psycopg2

    try:
        return _CHECKS[name](look)
    except psycopg2.Error as error:
        reason = error.diag.message_primary or str(error).strip() or type(error).__name__
        next_step = _NEXT_STEPS.get(error.pgcode or "", "Look at the server's log, then run again.")
    except PgopsError as error:
        reason, next_step = error.what, error.next_step or "Run again."
    except OSError as error:
        reason, next_step = str(error), "Mend what the operating system says, then run again."
    return Judgement("FAIL", f"the evidence cannot be read: {reason}", next_step)


def _identity(look: _Look) -> Judgement:
    return rules.judge_identity(look.wanted, look.bounded(evidence.read_identity))


def _pooler(look: _Look) -> Judgement:
    return rules.judge_pooler(look.wanted, evidence.read_pooling(look.options, look.policy.settings))


def _privileges(look: _Look) -> Judgement:
    rights = look.bounded(lambda connection: evidence.read_rights(connection, {"public"}))
    if rights.history_writable is not False:
        schemas = {"public", *evidence.schemas_created_in(look.pending())}
        rights = look.bounded(lambda connection: evidence.read_rights(connection, schemas))
    return rules.judge_privileges(rights)


def _versions(look: _Look) -> Judgement:
    return rules.judge_versions(look.bounded(lambda c: evidence.read_versions(c, look.policy.pg_bin)))


def _disk(look: _Look) -> Judgement:
    directory = look.policy.state_dir
    if directory is None:
        return Judgement("SKIP", "no state_dir is given, so nothing will be stored")
    space = look.bounded(lambda connection: evidence.read_disk_space(connection, directory))
    return rules.judge_disk(space, look.policy.disk_space_factor)


def _long_transactions(look: _Look) -> Judgement:
    found = look.bounded(evidence.read_open_transactions)
    return rules.judge_long_transactions(found, look.policy.max_transaction_age_seconds)


def _prepared_transactions(look: _Look) -> Judgement:
    return rules.judge_prepared_transactions(look.bounded(evidence.read_prepared_transactions))


def _invalid_objects(look: _Look) -> Judgement:
    return rules.judge_invalid_objects(look.bounded(evidence.read_invalid_objects))


def _replication_lag(look: _Look) -> Judgement:
    return rules.judge_replication(look.bounded(evidence.read_replication), look.policy.max_replication_lag_bytes)


def _git(look: _Look) -> Judgement:
    if look.policy.supabase_dir is None:
        return Judgement("SKIP", "no supabase_dir is given")
    git = git_program()
    if git is None:
        return Judgement("SKIP", "git is not installed on this machine")
    policy = look.policy
    found = git_evidence.read_git(
        git, look.policy.supabase_dir, look.pending(), ask_remote=policy.git_remote, ask_push=policy.git_push
    )
    return judge_git(found)


def _lint(look: _Look) -> Judgement:
    policy = look.policy
    return judge_lint(policy.lint, policy.lint_failure, policy.plan, policy.lint_fail_level)


def _approval(look: _Look) -> Judgement:
    policy, plan = look.policy, look.policy.plan
    if policy.approvals.required == 0:
        return Judgement("SKIP", "no approval is required (approvals_required)")
    if plan is None or policy.plans_dir is None or policy.allowed_signers is None:
        return Judgement("FAIL", "there is no plan that could be approved", "Give plan, plans_dir and allowed_signers.")
    if not plan.steps:
        return Judgement("SKIP", "nothing is pending, so there is nothing to approve")
    if plan.catalog_before is None:
        return Judgement(
            "FAIL",
            "the schema cannot be read while somebody holds a table exclusively, so nobody knows what was approved for it",
            "Wait for the gate long_transactions, then run again.",
        )
    keygen = keygen_program()
    if keygen is None:
        return Judgement(
            "FAIL",
            "ssh-keygen is not installed on this machine, so no signature can be read",
            "Install OpenSSH's client: apt-get install openssh-client (dnf install openssh-clients).",
        )
    found = read_approvals(keygen, plan, policy.plans_dir, policy.allowed_signers)
    look.approvals = approvals_that_count(policy.approvals, found.signatures)
    judgement = judge_approval(policy.approvals, plan, found)
    if look.pretend and judgement.verdict == "FAIL":
        # A dry run is what people look at before they sign, so it may come first.
        return Judgement("WARNING", f"a run would be stopped: {judgement.evidence}", judgement.next_step)
    return judgement


def _window(look: _Look) -> Judgement:
    window, state_dir = look.policy.window, look.policy.state_dir
    if window is None:
        return Judgement("SKIP", "there is no window (project_window)")
    estimate = None
    if state_dir is not None and (pending := hashes_of(look.pending())):
        found, _unreadable = find_rehearsals(state_dir / look.policy.project)
        key = rehearsal_key(pending)
        estimate = next((it.estimated_seconds for _dir, it in found if it.key == key and it.verdict == "passed"), None)
    judgement = judge_window(window, datetime.now(timezone.utc), estimate)
    if look.pretend and judgement.verdict == "FAIL":
        # A dry run changes nothing, so it may come at any hour.
        return Judgement("WARNING", f"a run would be stopped: {judgement.evidence}", judgement.next_step)
    return judgement


def _lease(look: _Look) -> Judgement:
    return rules.judge_lease(look.bounded(read_lease), look.policy.lease_owner)


def _backup_age(look: _Look) -> Judgement:
    limit, state_dir = look.policy.max_backup_age_seconds, look.policy.state_dir
    if limit is None or state_dir is None:
        return Judgement("SKIP", "no backup is required beforehand (max_backup_age_seconds)")
    entries = find_backups(state_dir / look.policy.project)
    return rules.judge_backup_age(entries, limit, look.bounded(evidence.read_system_identifier))


def _rehearsal(look: _Look) -> Judgement:
    state_dir, limit = look.policy.state_dir, look.policy.max_rehearsal_age_seconds
    if not look.policy.require_rehearsal or state_dir is None:
        return Judgement("SKIP", "no rehearsal is required (preflight_require_rehearsal)")
    pending = hashes_of(look.pending())
    found, _unreadable = find_rehearsals(state_dir / look.policy.project)
    return judge_rehearsal(pending, found, limit, datetime.now(timezone.utc))


_CHECKS: Mapping[str, Callable[[_Look], Judgement]] = {
    "identity": _identity,
    "pooler": _pooler,
    "privileges": _privileges,
    "versions": _versions,
    "disk": _disk,
    "long_transactions": _long_transactions,
    "prepared_transactions": _prepared_transactions,
    "invalid_objects": _invalid_objects,
    "replication_lag": _replication_lag,
    "git": _git,
    "lint": _lint,
    "approval": _approval,
    "window": _window,
    "lease": _lease,
    "backup_age": _backup_age,
    "rehearsal": _rehearsal,
}
