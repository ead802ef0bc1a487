#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: validation
short_description: Run validation scripts and checks that leave nothing behind
version_added: 0.1.0
description:
  - Runs SQL scripts written for C(psql) statement by statement, in a transaction that is always rolled back. A check that
    writes rows, makes tables or changes its role leaves nothing, except that sequences do not give numbers back.
  - Each cell of a result, NOTICE or WARNING that begins with C(PASS), C(FAIL), C(WARNING) or C(SKIP), after any mark such as a
    tick or a label such as C(Status:), is the verdict of a check. C(PASSED), C(FAILED), C(WARN), C(SKIPPED) and C(ERROR) count
    as well; in lower case a word has to be set apart from what follows. Several rows of one statement are one check with its
    RV(validation.checks[].rows). A statement that errs is a failed check, and the next one runs all the same. A script without
    any verdict is a failed check, too, and a query without one is listed as silent.
  - V(\\echo), V(\\qecho) and V(\\warn) name the section of the checks below them, as do comments with a frame or a ruler. Commands
    such as V(\\pset), V(\\timing) and V(\\x) are accepted without effect, and those that only show something, such as V(\\d) and
    V(\\conninfo), are left out and named. Any other backslash command is refused before connecting, and so are COPY and
    statements that cannot run in a transaction.
  - BEGIN, COMMIT, ROLLBACK and savepoints in a script work on savepoints within the one transaction. Nothing is committed.
attributes:
  check_mode:
    support: full
    details:
      - Validates as always; only the document in O(run_dir) is not written.
  diff_mode:
    support: none
  idempotent:
    support: full
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.run
  - pgops.supabase.timeouts
options:
  files:
    description:
      - Validation scripts, run in this order; none sees what another did.
      - At least one of O(files) and O(checks) is needed.
    type: list
    elements: path
    default: []
  checks:
    description: Checks beside the scripts, each a query and an expectation.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What is checked.
        type: str
        required: true
      query:
        description: One statement that returns rows.
        type: str
        required: true
      expect:
        description:
          - A JMESPath expression that has to be true for the list of rows, each a mapping from column to value.
          - Whole numbers are integers of any size. Other numbers are floats where that is exact, otherwise text. Dates and all
            else are text as C(psql) shows them.
        type: str
        required: true
      always:
        description: Whether the check has to hold in the V(before) stage, too.
        type: bool
        default: false
  stage:
    description:
      - >-
        In the V(before) stage verdicts are a baseline and failures do not fail the task, except those of checks that are marked
        with the comment C(-- pgops: stage always) directly above the statement, or with O(checks[].always).
      - In the stages V(dry_run) and V(after) any C(FAIL) fails the task.
    type: str
    choices: [before, dry_run, after]
    default: after
  warnings_as_failures:
    description: Whether a C(WARNING) fails the task, too. Otherwise it is listed.
    type: bool
    default: false
  pending_files:
    description:
      - Migrations that are still to be applied. In the V(before) stage a statement that errs because something that they create
        is not there yet is skipped instead of failed.
    type: list
    elements: path
    default: []
author:
  - pgops.supabase contributors (@pgops)
"""

EXAMPLES = r"""
- name: Take the baseline before the migration
  pgops.supabase.validation:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ project_db_password }}"
    ca_cert: prod-ca-2021.crt
    files: [supabase/VALIDATION_SQL.sql]
    stage: before
    pending_files:
      - supabase/migrations/20251014220000_bridge_add_audit_system.sql
    run_dir: "{{ run_dir }}"

- name: Validate after it
  pgops.supabase.validation:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ project_db_password }}"
    ca_cert: prod-ca-2021.crt
    files: [supabase/VALIDATION_SQL.sql]
    stage: after
    run_dir: "{{ run_dir }}"

- name: Check a local project without a script
  pgops.supabase.validation:
    login_host: 127.0.0.1
    login_password: "{{ project_db_password }}"
    ssl_mode: prefer
    checks:
      - name: every account has a profile
        query: >-
          select count(*) as missing from auth.users u
          where not exists (select 1 from public.profiles p where p.id = u.id)
        expect: "[0].missing == `0`"
        always: true
"""

RETURN = r"""
validation:
  description: The report; also returned when checks fail.
  returned: when the validation ran
  type: dict
  contains:
    stage:
      description: The stage, as given.
      type: str
    files:
      description: The scripts that ran.
      type: list
      elements: str
    started_at:
      description: When it began, UTC.
      type: str
    duration_seconds:
      description: How long it took.
      type: float
    checks:
      description: Every verdict in order.
      type: list
      elements: dict
      contains:
        name:
          description: What was checked, as well as the script says it.
          type: str
        verdict:
          description: V(PASS), V(FAIL), V(WARNING) or V(SKIP).
          type: str
        message:
          description: The row, the notice or the error.
          type: str
        where:
          description: File, line and column of the statement, or of the error in it.
          type: str
        section:
          description: The heading the statement stands under.
          type: str
        source:
          description: V(cell), V(notice), V(error) or V(declared).
          type: str
        always:
          description: Whether the check has to hold in the V(before) stage, too.
          type: bool
        rows:
          description: Where several rows of the statement gave a verdict, all of them with C(name), C(verdict) and C(message).
          type: list
          elements: dict
      sample:
        - name: base tables
          verdict: PASS
          message: "check: base tables, verdict: PASS: all seven base tables exist"
          where: supabase/VALIDATION_SQL.sql:37:1
          section: "1. Before: what is there"
          source: cell
          always: true
    silent:
      description: Queries and DO blocks that gave no verdict, each with C(name) and C(where).
      type: list
      elements: dict
    skipped_commands:
      description: Commands of psql's that only show something and were left out, each with C(name) and C(where).
      type: list
      elements: dict
    verdict:
      description:
        - V(FAIL) when the task fails; V(WARNING) when there is something to look at, such as a warning or a failure that is only
          the baseline; V(PASS); V(SKIP) when nothing was checked.
      type: str
      sample: PASS
    passed:
      description: Number of checks that passed.
      type: int
    failed:
      description: Number of checks that failed, in the V(before) stage including those that are only the baseline.
      type: int
    warnings:
      description: Number of warnings.
      type: int
    skipped:
      description: Number of checks that were skipped.
      type: int
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    RUN_ARGUMENTS,
    SQL_LIBRARIES,
    TIMEOUT_ARGUMENTS,
    connection_options,
    lock_timeout_milliseconds,
    make_module,
    milliseconds,
    run,
)
from ansible_collections.pgops.supabase.plugins.module_utils.validation.job import validate_or_fail


def validation(module: AnsibleModule) -> dict[str, Any]:
    """Validate as the parameters say."""
    params = module.params
    report = validate_or_fail(
        connection_options(params),
        [Path(file) for file in params["files"]],
        stage=params["stage"],
        checks=params["checks"],
        pending_files=[Path(file) for file in params["pending_files"]],
        warnings_as_failures=params["warnings_as_failures"],
        lock_timeout_ms=lock_timeout_milliseconds(params["lock_timeout_seconds"]),
        statement_timeout_ms=milliseconds(params["statement_timeout_seconds"]),
        run_dir=Path(params["run_dir"]) if params["run_dir"] and not module.check_mode else None,
    )
    said = f"{number(report.passed, 'check')} passed" + "".join(
        f", {number} {what}"
        for number, what in ((report.failed, "failed"), (report.warnings, "warnings"), (report.skipped, "skipped"))
        if number
    )
    if params["stage"] == "before":
        # What does not hold yet is what the migration is for.
        said = f"{number(len(report.checks), 'check')} taken as they are now"
    return {"changed": False, "msg": said, "validation": report.as_dict()}


def main() -> None:
    """Run the module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **RUN_ARGUMENTS,
            **TIMEOUT_ARGUMENTS,
            "files": {"type": "list", "elements": "path", "default": []},
            "checks": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "query": {"type": "str", "required": True},
                    "expect": {"type": "str", "required": True},
                    "always": {"type": "bool", "default": False},
                },
            },
            "stage": {"type": "str", "choices": ["before", "dry_run", "after"], "default": "after"},
            "warnings_as_failures": {"type": "bool", "default": False},
            "pending_files": {"type": "list", "elements": "path", "default": []},
        },
        libraries=(*SQL_LIBRARIES, "jmespath"),
    )
    run(module, lambda: validation(module))


if __name__ == "__main__":
    main()
