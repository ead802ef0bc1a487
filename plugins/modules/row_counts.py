#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: row_counts
short_description: Count the rows of a project's tables exactly, and hold them against a baseline
version_added: 0.1.0
description:
  - Counts every row of the project's tables in one snapshot, which several sessions share, so the counts belong to one moment
    whatever is written meanwhile.
  - Every row is counted once, in ordinary tables and in the leaves of partitioned ones. Foreign tables and materialized
    views are left out.
  - The role has to bypass row level security, as C(postgres) does on Supabase. A row that is hidden from it would otherwise
    make a smaller count that looks like a true one.
  - With O(baseline) the counts are compared, and the module fails when rows were lost or gained that O(contract) does not
    declare; with O(row_changes) only those that the migration lost or gained.
attributes:
  check_mode:
    support: full
    details:
      - Counts and compares as always; only the document in O(run_dir) is not written.
  diff_mode:
    support: none
  idempotent:
    support: full
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.run
options:
  tables:
    description:
      - Tables to count, as V(schema.table), or V(table) in C(public). By default every table of O(schemas).
      - Letters are taken as they are, V(public.Foo) is not V(public.foo). Quote a part that holds a dot, V(public."a.b").
      - A partitioned table is counted as a whole.
    type: list
    elements: str
  schemas:
    description:
      - Schemas whose tables are counted when O(tables) is not given or empty.
      - By default all that are the user's own, neither Supabase's nor PostgreSQL's.
    type: list
    elements: str
  workers:
    description: Sessions that count at the same time.
    type: int
    default: 2
  statement_timeout_seconds:
    description: How long the count of one table may take. V(0) is no limit.
    type: float
    default: 600.0
  baseline:
    description:
      - Counts to compare with, either the RV(row_counts) of an earlier task or the path of its C(counts-before.json).
      - Give the same O(tables) and O(schemas) as then; a table that was not counted then counts as new.
    type: raw
  contract:
    description:
      - What may differ from O(baseline), by table. A number of rows that the table gains, negative when it loses them, or
        V(any).
      - By default no table may gain or lose a row, and new tables are welcome. A table that is meant to be dropped is
        declared with V(any) or with all of its rows as a negative number.
    type: dict
    default: {}
  row_changes:
    description:
      - What the migration's transactions inserted less deleted by table, as M(pgops.supabase.migration) returns it in
        RV(pgops.supabase.migration#module:migration).
      - With it, that alone is judged. What other sessions wrote since O(baseline) is told, and is no failure.
    type: list
    elements: dict
  row_declarations:
    description:
      - What the migrations declare of their rows, as M(pgops.supabase.migration) returns it in
        RV(pgops.supabase.migration#module:migration). It adds to O(contract).
    type: list
    elements: dict
    default: []
  stage:
    description: Names the document in O(run_dir), C(counts-before.json) or C(counts-after.json).
    type: str
    choices: [before, after]
    default: before
author:
  - pgops.supabase contributors (@pgops)
"""

EXAMPLES = r"""
- name: Take the baseline
  pgops.supabase.row_counts:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ project_db_password }}"
    ca_cert: prod-ca-2021.crt
    run_dir: "{{ run_dir }}"
  register: baseline

- name: Compare with it after the migration, which adds three rows to one table
  pgops.supabase.row_counts:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ project_db_password }}"
    ca_cert: prod-ca-2021.crt
    run_dir: "{{ run_dir }}"
    stage: after
    baseline: "{{ baseline.counts_file }}"
    contract:
      public.request_types: 3

- name: Count two tables of a local project
  pgops.supabase.row_counts:
    login_host: 127.0.0.1
    login_password: "{{ project_db_password }}"
    ssl_mode: prefer
    tables:
      - public.profiles
      - public.addresses
"""

RETURN = r"""
row_counts:
  description: The counts; also returned when the comparison fails.
  returned: when counted
  type: dict
  contains:
    taken_at:
      description: When the snapshot was taken, UTC.
      type: str
    server_version:
      description: Version of the server.
      type: str
    tables:
      description: Schema, table and number of rows of each table, sorted by name.
      type: list
      elements: dict
      sample:
        - schema: public
          table: profiles
          rows: 25000
    total:
      description: Sum of all rows.
      type: int
    duration_seconds:
      description: How long it took.
      type: float
counts_file:
  description: The file in O(run_dir) that holds them, V(null) without one and in check mode.
  returned: success
  type: str
comparison:
  description: Each table before and after, V(null) without O(baseline).
  returned: when counted
  type: dict
  contains:
    tables:
      description: Schema, table, the counts C(before) and C(after), the verdict and its reason.
      type: list
      elements: dict
    verdict:
      description: V(FAIL) when any table fails. The task fails with it.
      type: str
      sample: PASS
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowChange, RowDeclaration
from ansible_collections.pgops.supabase.plugins.module_utils.counts.job import count_project
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import OwnWork
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    RUN_ARGUMENTS,
    connection_options,
    make_module,
    milliseconds,
    run,
)


def count(module: AnsibleModule) -> dict[str, Any]:
    """Count as the parameters say."""
    params = module.params
    changes = params["row_changes"]
    write = params["run_dir"] and not module.check_mode
    file = Path(params["run_dir"], f"counts-{params['stage']}.json") if write else None
    counts, comparison = count_project(
        connection_options(params),
        tables=params["tables"],
        schemas=params["schemas"],
        workers=params["workers"],
        statement_timeout_ms=milliseconds(params["statement_timeout_seconds"]),
        baseline=params["baseline"],
        contract=params["contract"],
        # An empty one says that nothing was changed.
        own=None if changes is None else OwnWork.of(from_dict(RowChange, change) for change in changes),
        declarations=[from_dict(RowDeclaration, item) for item in params["row_declarations"]],
        document=file,
    )
    return {
        "changed": False,
        "msg": f"{number(counts.total, 'row')} in {number(len(counts.tables), 'table')}",
        "row_counts": counts.as_dict(),
        "counts_file": str(file) if file else None,
        "comparison": None if comparison is None else comparison.as_dict(),
    }


def main() -> None:
    """Run the module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **RUN_ARGUMENTS,
            "tables": {"type": "list", "elements": "str"},
            "schemas": {"type": "list", "elements": "str"},
            "workers": {"type": "int", "default": 2},
            "statement_timeout_seconds": {"type": "float", "default": 600.0},
            "baseline": {"type": "raw"},
            "contract": {"type": "dict", "default": {}},
            "row_changes": {"type": "list", "elements": "dict"},
            "row_declarations": {"type": "list", "elements": "dict", "default": []},
            "stage": {"type": "str", "choices": ["before", "after"], "default": "before"},
        }
    )
    run(module, lambda: count(module))


if __name__ == "__main__":
    main()
