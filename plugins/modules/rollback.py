#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: rollback
short_description: Take applied migrations back by their rollback files, proven against the state before them
version_added: 0.1.0
description:
  - Runs C(rollbacks/<version>_<name>.sql), newest first, in one transaction with Supabase's history and the ledger.
  - It commits only when the fingerprint of the catalog equals the one the ledger holds from before the migrations, and when
    the migrations and the rollback together left the number of rows of each table of O(baseline) as it was. What others wrote
    since is no failure. Otherwise nothing is changed and the migrations stay applied.
  - Data that lives only in what is dropped is first written to O(export_dir) as CSV.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.migrations
  - pgops.supabase.migrations.locking
  - pgops.supabase.migrations.baseline
  - pgops.supabase.timeouts
  - pgops.supabase.run
attributes:
  check_mode:
    support: full
    details:
      - Everything is executed and then rolled back; nothing is exported.
  diff_mode:
    support: full
    details:
      - Shows the objects that are created, changed and dropped, as found in the catalog.
  idempotent:
    support: full
    details:
      - When the last run was taken back already, there is nothing to do; an earlier one has to be named.
options:
  reason:
    description: Why; it stands in the ledger and in the documents.
    type: str
    required: true
  of_run:
    description: Take back what the run with this identifier applied.
    type: str
  to_version:
    description: Take back every migration after this version; V(0) takes back all.
    type: str
  baseline_catalog:
    description:
      - The C(catalog-before.json) of the run that is taken back. With it a failure says which objects differ.
    type: path
  row_changes:
    description:
      - What the migrations that are taken back did to the number of rows, as their C(migration.json) holds it.
      - Without it nobody can tell what others wrote since, and no table of O(baseline) may have fewer rows than then.
    type: list
    elements: dict
  require_exact_catalog:
    description:
      - Whether the catalog has to be exactly the one from before the migrations.
      - Set to V(false) only when somebody else changed the schema since, and that is to stay.
    type: bool
    default: true
  accept:
    description:
      - What may differ from the catalog from before, and is said in the result then. Any other difference fails.
      - V(column_positions) are the places of columns that the rollback adds again, for PostgreSQL adds them last. It needs
        O(baseline_catalog). Columns that only changed their names crosswise are not meant.
    type: list
    elements: str
    choices: [column_positions]
    default: [column_positions]
  export_dir:
    description:
      - Directory for the data that lives only in what is dropped. By default C(rollback-data/) in O(run_dir).
    type: path
  recipients:
    description: Public keys that this data is encrypted to by the program C(age), as in M(pgops.supabase.backup).
    type: list
    elements: str
    default: []
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.migration
"""

EXAMPLES = r"""
- name: Take back what the last run applied
  pgops.supabase.rollback:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    supabase_dir: supabase
    reason: Order totals are wrong since the migration
    export_dir: rollback-data

- name: Take back everything after a version
  pgops.supabase.rollback:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    supabase_dir: supabase
    reason: The release is postponed
    to_version: "20251013180000"
    export_dir: rollback-data
"""

RETURN = r"""
changed:
  description: Whether migrations were taken back, or would have been in check mode.
  returned: always
  type: bool
rollback:
  description: What was done; also written to C(rollback.json) in O(run_dir).
  returned: always, unless nothing could be read
  type: dict
  contains:
    migrations:
      description: Each migration that was taken back, newest first, with the rollback file and its duration_seconds.
      type: list
      elements: dict
    committed:
      description: Whether it was committed.
      type: bool
    exported:
      description: The files the dropped data was written to.
      type: list
      elements: str
    catalog_expected:
      description: Fingerprint of the catalog from before the migrations, V(null) when the ledger does not know it.
      type: str
    catalog_after:
      description: Fingerprint of the catalog after the rollback.
      type: str
    equal_but:
      description: All in which the catalog differs from the expected one, accepted, as V(column positions of public.t).
      type: list
      elements: str
    by_record:
      description:
        - The versions of which only the record was taken back, because they changed no catalog and have no rollback statement.
      type: list
      elements: str
    rows_kept:
      description: How many rows more, or less, those left in which table. It stays so; rows that they changed in place do, too.
      type: list
      elements: dict
    counts:
      description: Each table's rows in the baseline and now, with a verdict.
      type: dict
    jobs:
      description:
        - The scheduled jobs of the runs of which nothing stays applied, each with C(change) (V(unscheduled), or V(changed) back), or
          with a C(note) that says why it stays.
      type: list
      elements: dict
    failed:
      description: Whether it ended with an error, perhaps after COMMIT.
      type: bool
error:
  description: What happened, where, the state the database is in now, and what to type next.
  returned: failure
  type: dict
  contains:
    outcome:
      description:
        - That state for programs, V(unchanged), V(committed), V(partial) (some of it is committed) or V(unknown) (somebody has
          to look).
      type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.apply.verification import Checks
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import RollbackError
from ansible_collections.pgops.supabase.plugins.module_utils.base.files import read_json
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.counts.comparison import baseline_tables
from ansible_collections.pgops.supabase.plugins.module_utils.counts.documents import RowChange
from ansible_collections.pgops.supabase.plugins.module_utils.counts.own import OwnWork
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    BASELINE_ARGUMENTS,
    CONNECTION_ARGUMENTS,
    LOCK_ARGUMENTS,
    MIGRATIONS_ARGUMENTS,
    RUN_ARGUMENTS,
    SQL_LIBRARIES,
    TIMEOUT_ARGUMENTS,
    catalog_diff,
    connection_options,
    make_module,
    operator,
    optional_path,
    run,
    session_settings,
    with_document,
)
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.job import roll_back
from ansible_collections.pgops.supabase.plugins.module_utils.rollback.options import COLUMN_POSITIONS, RollbackOptions


def take_back(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    run_dir = optional_path(params["run_dir"])
    catalog_file = optional_path(params["baseline_catalog"])
    baseline, earlier = baseline_tables(params["baseline"]), params["row_changes"]
    document_file = run_dir / "rollback.json" if run_dir and not module.check_mode else None
    how = RollbackOptions(
        supabase_dir=Path(params["supabase_dir"]),
        reason=params["reason"],
        operator=operator(),
        settings=session_settings(params),
        run_id=params["run_id"],
        of_run=params["of_run"],
        to_version=params["to_version"],
        expected_catalog=read_json(catalog_file) if catalog_file and catalog_file.is_file() else None,
        require_exact_catalog=params["require_exact_catalog"],
        accept=params["accept"],
        checks=Checks(baseline=baseline) if baseline is not None else None,
        own_earlier=OwnWork.of(from_dict(RowChange, item) for item in earlier) if earlier is not None else None,
        export_dir=optional_path(params["export_dir"]) or (run_dir / "rollback-data" if run_dir else None),
        recipients=params["recipients"],
        schemas=params["schemas"],
        retries=params["retries"],
        lock_wait_seconds=params["lock_wait_seconds"],
        dry_run=module.check_mode,
    )
    options = connection_options(params)
    result = with_document("rollback", document_file, lambda: roll_back(options, how), RollbackError)
    said = f"{number(len(result.migrations), 'migration')} taken back"
    if result.jobs:
        said += f"; scheduled jobs: {', '.join(f'{job.name} {job.change or job.note}' for job in result.jobs)}"
    outcome = {"changed": bool(result.migrations), "msg": said, "rollback": result.as_dict()}
    return {**outcome, "diff": catalog_diff(result.catalog_changes)} if module._diff else outcome


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **MIGRATIONS_ARGUMENTS,
            **LOCK_ARGUMENTS,
            **BASELINE_ARGUMENTS,
            **TIMEOUT_ARGUMENTS,
            **RUN_ARGUMENTS,
            "reason": {"type": "str", "required": True},
            "of_run": {"type": "str"},
            "to_version": {"type": "str"},
            "baseline_catalog": {"type": "path"},
            "row_changes": {"type": "list", "elements": "dict"},
            "require_exact_catalog": {"type": "bool", "default": True},
            "accept": {
                "type": "list",
                "elements": "str",
                "choices": [COLUMN_POSITIONS],
                "default": [COLUMN_POSITIONS],
            },
            "export_dir": {"type": "path"},
            "recipients": {"type": "list", "elements": "str", "default": []},
        },
        libraries=SQL_LIBRARIES,
        mutually_exclusive=[("of_run", "to_version")],
    )
    run(module, lambda: take_back(module))


if __name__ == "__main__":
    main()
