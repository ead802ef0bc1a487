#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_gates
short_description: Check everything that has to hold before a project is migrated
version_added: 0.1.0
description:
  - Looks at each gate and returns one table of verdicts with their evidence. Fails when a gate is closed and not waived, naming
    each such gate, what was found and what to do next.
  - >-
    V(identity): the database is the project that is meant, by its name, its host and the marker stored in it. V(pooler): sessions
    are sessions, not a transaction pooler's. V(privileges): the role sees every row and may make what the pending migrations
    make. V(versions): the server is supported and C(pg_dump) is not older. V(disk): a backup fits.
  - >-
    V(long_transactions) and V(prepared_transactions): nothing holds locks that the migration would wait for.
    V(invalid_objects): no INVALID index and no NOT VALID constraint, else a warning. V(replication_lag): standbys and slots keep
    up. V(git): the pending files are committed, and the branch's upstream has them too. V(lint): the linter finds nothing too
    bad in them. V(approval): enough people signed the plan's hash, if that is required. V(window): migrations may run now, if there
    is a window, and the rehearsal's estimate ends in it. V(lease): no other run works on the
    project. V(backup_age): there is a young, sound backup, if one is required. V(rehearsal): the pending files passed a
    rehearsal just as they are, if one is required.
  - A gate whose evidence cannot be read is closed; the others are looked at all the same.
  - Texts of queries are never shown, because they may hold secrets.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.run
attributes:
  check_mode:
    support: full
    details:
      - Looks at every gate as always; only the document in O(run_dir) is not written, and missing approvals are a warning.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  project:
    description: The project's name in the inventory.
    type: str
    required: true
  project_ref:
    description: The project's reference on Supabase. It has to be the one in the host's, the pooler user's and the marker's name.
    type: str
  environment:
    description: What the project is for, such as V(dev) or V(prod). It has to be the marker's.
    type: str
  supabase_dir:
    description: The project's folder in Supabase's layout. Without it pending files are not looked at.
    type: path
  state_dir:
    description: Directory of all projects' runs, where backups are made. Without it the V(disk) gate is skipped.
    type: path
  pg_bin:
    description:
      - Directory with PostgreSQL's programs. By default E(PG_BIN), then the pinned wheel, then the newest installation.
    type: path
  owner:
    description: Who may hold the lease. By default O(run_id).
    type: str
  waivers:
    description:
      - The gates that may be closed, each with the reason. They come back in RV(preflight.waivers), so that a run keeps them.
      - Waiving V(identity) or V(pooler) is possible, and said loudly in the evidence.
    type: dict
    default: {}
  statement_timeout_seconds:
    description: How long reading one piece of evidence may take.
    type: float
    default: 60.0
  max_transaction_age_seconds:
    description: How long another session's transaction may have been open.
    type: float
    default: 300.0
  disk_space_factor:
    description: How many times the database's size has to be free below O(state_dir).
    type: float
    default: 1.0
  max_replication_lag_bytes:
    description: How far standbys and active replication slots may be behind.
    type: int
    default: 268435456
  max_backup_age_seconds:
    description:
      - How old the newest sound backup in O(state_dir) may be. Without it no backup is required beforehand.
    type: float
  git_remote:
    description:
      - Whether to ask the remote of the branch's upstream, if it follows one, for the pending files. Nothing is fetched.
    type: bool
    default: true
  git_push:
    description: Whether the run is going to push, so that the remote has to accept a push; one is tried dry, without hooks.
    type: bool
    default: false
  lint:
    description:
      - What M(pgops.supabase.migration_lint) returned for the pending files, or the path of its C(lint.json). Without it the
        V(lint) gate is skipped.
    type: raw
  lint_failure:
    description: Why the files could not be linted, if they could not. It closes the gate.
    type: str
  lint_fail_level:
    description: The least level of a finding, not accepted in its file, at which the V(lint) gate is closed.
    type: str
    choices: [error, warning, notice, never]
    default: error
  plan:
    description: What M(pgops.supabase.migration_plan) returned, or the path of its file, for the approval.
    type: raw
  plans_dir:
    description:
      - Where plans are kept under their hashes, with their signatures beside them as C(<hash>.<principal>.sig).
    type: path
  approvals_required:
    description:
      - How many different people have to have signed the hash of O(plan), with C(ssh-keygen -Y sign -n pgops.supabase.plan).
        Who shares a name or a key with somebody counts once.
      - In check mode missing approvals are a warning, because a dry run is what people look at before they sign.
    type: int
    default: 0
  approvers:
    description: The principals whose signatures count. By default everybody in O(allowed_signers).
    type: list
    elements: str
    default: []
  allowed_signers:
    description:
      - File with the keys of those who may sign, in the format of C(ssh-keygen)'s ALLOWED SIGNERS. Required with
        O(approvals_required).
    type: path
  window:
    description:
      - When migrations may run. C(days) on which it opens (V(mon) to V(sun), by default all), C(from) and C(to) as times of day (over
        midnight where C(to) is earlier), C(time_zone), and dates C(not_on) which it is shut. Without it at any time.
      - In check mode a shut window is a warning.
    type: dict
    default: {}
  require_rehearsal:
    description:
      - Whether exactly the pending files, with exactly their rollbacks, have to have passed a rehearsal in O(state_dir).
    type: bool
    default: false
  max_rehearsal_age_seconds:
    description: How old that rehearsal may be. Without it any age will do.
    type: float
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.project_marker
  - module: pgops.supabase.run_lease
  - module: pgops.supabase.backup
"""

EXAMPLES = r"""
- name: Check the gates, one of them waived
  pgops.supabase.preflight_gates:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    project: my_app_prod
    project_ref: abcdefghijklmnopqrst
    environment: prod
    supabase_dir: supabase
    state_dir: runs
    waivers:
      replication_lag: The warehouse is being rebuilt and reads nothing today
  register: gates

- name: Show the table
  ansible.builtin.debug:
    msg: "{{ gates.preflight.gates | map(attribute='verdict') | zip(gates.preflight.gates | map(attribute='name')) }}"
"""

RETURN = r"""
changed:
  description: Always V(false).
  returned: always
  type: bool
preflight:
  description: The table and what it is about, whole on failure too.
  returned: when the gates were looked at
  type: dict
  contains:
    verdict:
      description: V(FAIL) when a gate is closed, V(WARNING) when one warns or is waived, otherwise V(PASS).
      type: str
    gates:
      description: Every gate in order.
      type: list
      elements: dict
      contains:
        name:
          description: Its name.
          type: str
        verdict:
          description: V(PASS), V(FAIL), V(WARNING), V(SKIP) or V(WAIVED).
          type: str
        evidence:
          description: What was found.
          type: str
        waiver:
          description: The reason for which a closed gate was passed, otherwise V(null).
          type: str
        next_step:
          description: What to do about it, V(null) when there is nothing to do.
          type: str
    waivers:
      description: All waivers given, by gate, also for gates that were open.
      type: dict
    plan_hash:
      description: Hash of O(plan), V(null) without one.
      type: str
    approvals:
      description: The signatures that count, each with C(principal), C(key) and C(file).
      type: list
      elements: dict
    lint_waivers:
      description: The findings that comments in the files accept, each with C(code), C(where) and C(reason).
      type: list
      elements: dict
    server_version:
      description: Version of the server.
      type: str
    checked_at:
      description: When the gates were looked at, UTC.
      type: str
    duration_seconds:
      description: How long that took.
      type: float
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.gates.approval import ApprovalPolicy
from ansible_collections.pgops.supabase.plugins.module_utils.gates.job import (
    check_gates,
    require_open_gates,
)
from ansible_collections.pgops.supabase.plugins.module_utils.gates.lint import given_report
from ansible_collections.pgops.supabase.plugins.module_utils.gates.policy import GatePolicy
from ansible_collections.pgops.supabase.plugins.module_utils.gates.window import given_window
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.identity import given_plan
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    RUN_ARGUMENTS,
    SQL_LIBRARIES,
    ArgumentSpec,
    connection_options,
    make_module,
    milliseconds,
    optional_path,
    run,
)

GATE_ARGUMENTS: ArgumentSpec = {
    "project": {"type": "str", "required": True},
    "project_ref": {"type": "str"},
    "environment": {"type": "str"},
    "supabase_dir": {"type": "path"},
    "state_dir": {"type": "path"},
    "pg_bin": {"type": "path"},
    "owner": {"type": "str"},
    "waivers": {"type": "dict", "default": {}},
    "statement_timeout_seconds": {"type": "float", "default": 60.0},
    "max_transaction_age_seconds": {"type": "float", "default": 300.0},
    "disk_space_factor": {"type": "float", "default": 1.0},
    "max_replication_lag_bytes": {"type": "int", "default": 268435456},
    "max_backup_age_seconds": {"type": "float"},
    "require_rehearsal": {"type": "bool", "default": False},
    "max_rehearsal_age_seconds": {"type": "float"},
    "git_remote": {"type": "bool", "default": True},
    "git_push": {"type": "bool", "default": False},
    "window": {"type": "dict", "default": {}},
    "lint": {"type": "raw"},
    "lint_failure": {"type": "str"},
    "lint_fail_level": {"type": "str", "choices": ["error", "warning", "notice", "never"], "default": "error"},
    "plan": {"type": "raw"},
    "plans_dir": {"type": "path"},
    "approvals_required": {"type": "int", "default": 0},
    "approvers": {"type": "list", "elements": "str", "default": []},
    "allowed_signers": {"type": "path"},
}


def look(module: AnsibleModule) -> dict[str, Any]:
    """The module's one job: look at the gates, and stop when one is closed."""
    params = module.params
    options = connection_options(params)
    policy = GatePolicy(
        project=params["project"],
        project_ref=params["project_ref"] or None,
        environment=params["environment"] or None,
        supabase_dir=optional_path(params["supabase_dir"]),
        state_dir=optional_path(params["state_dir"]),
        pg_bin=optional_path(params["pg_bin"]),
        lease_owner=params["owner"] or params["run_id"],
        waivers=params["waivers"],
        statement_timeout_ms=milliseconds(params["statement_timeout_seconds"]),
        max_transaction_age_seconds=params["max_transaction_age_seconds"],
        disk_space_factor=params["disk_space_factor"],
        max_replication_lag_bytes=params["max_replication_lag_bytes"],
        max_backup_age_seconds=params["max_backup_age_seconds"],
        require_rehearsal=params["require_rehearsal"],
        max_rehearsal_age_seconds=params["max_rehearsal_age_seconds"],
        git_remote=params["git_remote"],
        git_push=params["git_push"],
        plan=given_plan(params["plan"]),
        plans_dir=optional_path(params["plans_dir"]),
        allowed_signers=optional_path(params["allowed_signers"]),
        approvals=ApprovalPolicy(params["approvals_required"], tuple(params["approvers"])),
        lint=given_report(params["lint"]),
        lint_failure=params["lint_failure"] or None,
        lint_fail_level=params["lint_fail_level"],
        window=given_window(params["window"]),
    )
    run_dir = None if module.check_mode else optional_path(params["run_dir"])
    report = check_gates(options, policy, pretend=module.check_mode, run_dir=run_dir)
    require_open_gates(report, options)
    held = [gate for gate in report.gates if gate.verdict in ("PASS", "SKIP")]
    said = f"{len(held)} of {len(report.gates)} gates hold"
    return {"changed": False, "msg": said, "preflight": report.as_dict()}


def main() -> None:
    """Run as an Ansible module."""
    module = make_module({**CONNECTION_ARGUMENTS, **RUN_ARGUMENTS, **GATE_ARGUMENTS}, libraries=SQL_LIBRARIES)
    run(module, lambda: look(module))


if __name__ == "__main__":
    main()
