#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: migration_lint
short_description: Find what is dangerous in migrations and their rollbacks before they run
version_added: 0.1.0
description:
  - Reads migrations and rollbacks with PostgreSQL's own parser and with squawk, and judges them as a batch.
  - With a connection it also judges by what is in the database. How large a table is that would be locked or written anew,
    whether rows are there that would not obey, and whether what is dropped holds data. It reads in a read-only
    transaction, each query bounded by O(statement_timeout_seconds).
  - Each finding has a code, a level, a place, a reason and what to do instead.
  - >-
    A comment C(-- pgops: allow <code> <reason>) accepts a finding. Directly above a statement, beside it or within it,
    it holds for that statement, and apart from any for the whole file. The finding stays in the report, with the reason.
  - Squawk's own C(-- squawk-ignore) comments work as well, but leave no trace in the report. A configuration file of
    squawk is not read.
  - Changes nothing.
attributes:
  check_mode:
    support: full
    details:
      - Lints as always; only the document in O(run_dir) is not written.
  diff_mode:
    support: none
  idempotent:
    support: full
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.run
options:
  login_host:
    description:
      - Host of the database, for example V(db.abcdefghijklmnopqrst.supabase.co).
      - Without it the files are judged by themselves, and all of O(supabase_dir).
    type: str
    required: false
  supabase_dir:
    description:
      - The project's folder in Supabase's layout; it holds C(migrations/) and C(rollbacks/).
      - With O(login_host) the pending migrations are linted, without it all of them.
    type: path
  files:
    description:
      - Migrations to lint, in the order in which they would apply.
      - The rollback of a file is the one of the same name in C(../rollbacks/).
    type: list
    elements: path
  fail_level:
    description: The least level of a finding, not waived, at which the task fails.
    type: str
    choices: [error, warning, notice, never]
    default: error
  exclude:
    description: Codes of findings that are not looked for, for example V(missing-rollback) or V(squawk.ban-char-field).
    type: list
    elements: str
    default: []
  large_table_rows:
    description: A table with more rows than this is large.
    type: int
    default: 100000
  large_table_bytes:
    description: A table of more bytes than this, without its indexes, is large.
    type: int
    default: 104857600
  statement_timeout_seconds:
    description: How long each query on the rows of a table may take. What takes longer is reported as not found out.
    type: float
    default: 10.0
  squawk:
    description: The program squawk. By default the one beside Ansible's Python, or on the path.
    type: path
requirements:
  - pglast >= 7
  - squawk-cli == 2.70.0
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.migration
  - module: pgops.supabase.migration_info
"""

EXAMPLES = r"""
- name: Lint what is pending on production, by what production holds
  pgops.supabase.migration_lint:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    supabase_dir: supabase

- name: Lint two files in a pull request, without a database, strictly
  pgops.supabase.migration_lint:
    files:
      - supabase/migrations/20251014220000_bridge_add_audit_system.sql
      - supabase/migrations/20251014220100_bridge_add_upload_errors_table.sql
    fail_level: warning
    exclude:
      - missing-rollback

- name: List all findings and go on
  pgops.supabase.migration_lint:
    supabase_dir: supabase
    fail_level: never
  register: linted

- name: Show them
  ansible.builtin.debug:
    var: linted.lint.findings
"""

RETURN = r"""
changed:
  description: Always V(false).
  returned: always
  type: bool
lint:
  description: The report; also returned when the task fails because of a finding.
  returned: when linted
  type: dict
  contains:
    files:
      description: The migrations that were linted.
      type: list
      elements: str
    database:
      description: The database that was looked at, V(null) without O(login_host).
      type: str
    server_major:
      description: The major version of PostgreSQL that the files were judged for.
      type: int
    excluded:
      description: The codes that were not looked for.
      type: list
      elements: str
    findings:
      description:
        - Each finding with C(code), C(level), C(file), C(line), C(column), C(statement), C(reason), C(fix), C(waived) and
          C(waiver_reason).
        - Codes of squawk's rules begin with C(squawk.).
      type: list
      elements: dict
      sample:
        - code: missing-rollback
          level: warning
          file: supabase/migrations/20250601090000_base_schema.sql
          line: 1
          column: 1
          statement: ""
          reason: "There is no rollback: after a failure only the restore of a backup leads back"
          fix: Write supabase/rollbacks/20250601090000_base_schema.sql, or waive this with the reason why there is no way back.
          waived: false
          waiver_reason:
    errors:
      description: Number of errors that are not waived.
      type: int
    warnings:
      description: Number of warnings that are not waived.
      type: int
    notices:
      description: Number of notices that are not waived.
      type: int
    waived:
      description: Number of findings that are waived.
      type: int
    duration_seconds:
      description: How long it took.
      type: float
groups:
  description:
    - The findings as people read them, each with C(code), C(level), C(waived), C(where), C(reason) and C(fix); of one that is
      there more than three times the first places and how many more.
    - Places begin at the project's folder.
  returned: when linted and no finding fails the task
  type: list
  elements: dict
  sample:
    - code: missing-rollback
      level: warning
      waived: false
      where: >-
        38 files: supabase/migrations/1_a.sql:1:1, supabase/migrations/2_b.sql:1:1, supabase/migrations/3_c.sql:1:1 and 35 more
      reason: "There is no rollback: after a failure only the restore of a backup leads back"
      fix: Write supabase/rollbacks/1_a.sql, or waive this with the reason why there is no way back.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.lint.batch import Limits
from ansible_collections.pgops.supabase.plugins.module_utils.lint.groups import grouped
from ansible_collections.pgops.supabase.plugins.module_utils.lint.job import LintOptions, lint
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    RUN_ARGUMENTS,
    SQL_LIBRARIES,
    connection_options,
    make_module,
    milliseconds,
    optional_path,
    run,
)


def look(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    write = params["run_dir"] and not module.check_mode
    report = lint(
        LintOptions(
            fail_level=params["fail_level"],
            exclude=tuple(params["exclude"]),
            limits=Limits(params["large_table_rows"], params["large_table_bytes"]),
            statement_timeout_ms=milliseconds(params["statement_timeout_seconds"]),
            squawk=optional_path(params["squawk"]),
        ),
        files=[Path(file) for file in params["files"] or ()],
        supabase_dir=optional_path(params["supabase_dir"]),
        connection_options=connection_options(params) if params["login_host"] else None,
        document=Path(params["run_dir"], "lint.json") if write else None,
    )
    return {"changed": False, "lint": report.as_dict(), "groups": [asdict(group) for group in grouped(report.findings)]}


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **RUN_ARGUMENTS,
            "login_host": {"type": "str"},
            "supabase_dir": {"type": "path"},
            "files": {"type": "list", "elements": "path"},
            "fail_level": {"type": "str", "choices": ["error", "warning", "notice", "never"], "default": "error"},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "large_table_rows": {"type": "int", "default": 100_000},
            "large_table_bytes": {"type": "int", "default": 104_857_600},
            "statement_timeout_seconds": {"type": "float", "default": 10.0},
            "squawk": {"type": "path"},
        },
        libraries=SQL_LIBRARIES,
        mutually_exclusive=[("supabase_dir", "files")],
        required_one_of=[("supabase_dir", "files")],
    )
    run(module, lambda: look(module))


if __name__ == "__main__":
    main()
