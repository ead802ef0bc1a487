#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: migration
short_description: Apply the pending migrations in one transaction that verifies before it commits
version_added: 0.1.0
description:
  - Applies every migration of C(migrations/) that Supabase's history does not hold, in order.
  - All files, their history, their ledger rows and the checks are one transaction, so that a failure anywhere leaves catalog
    and data exactly as they were. A file's own outer C(BEGIN; ... COMMIT;) is recognised and left out; any other transaction
    control is refused, with its line.
  - The history is Supabase's own, C(supabase_migrations.schema_migrations), and is written as the Supabase CLI writes it.
  - What was committed is read back from the database by a new session before the module says that it changed anything.
  - A file with a statement that PostgreSQL does not run in a transaction (C(CREATE INDEX CONCURRENTLY), C(VACUUM) ...) stands
    alone. It runs statement by statement, each recorded by its hash before and after, so that a run that was killed goes on
    at the first statement that did not finish. What comes before it is committed before it.
  - Files that were edited since they were applied, that are out of order, or that are missing stop the module. Nothing is
    repaired silently.
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
      - Everything is executed, the checks included, and then rolled back. Locks are really taken, sequences really move.
      - C(CREATE INDEX CONCURRENTLY) and C(DROP INDEX CONCURRENTLY) are tried without that word, on tables up to 256 MiB. What else
        cannot run in a transaction is listed in the receipt as not executed; what comes after it is tried.
      - Rows that a constraint refuses do not stop it, so that all of them are found, counted and listed. It fails at the end.
  diff_mode:
    support: full
    details:
      - Shows the objects that are created, changed and dropped, as found in the catalog.
  idempotent:
    support: full
options:
  transaction_scope:
    description:
      - V(batch) applies all pending files in one transaction, V(file) each in its own.
      - With V(file) the checks belong to the last file's transaction; earlier files stay committed when a later one fails.
    type: str
    choices: [batch, file]
    default: batch
  verify_before_commit:
    description:
      - Whether O(validations) and O(baseline) are checked inside the transaction, so that a failing check undoes everything.
      - When V(false), check afterwards with M(pgops.supabase.validation) and M(pgops.supabase.row_counts).
    type: bool
    default: true
  validations:
    description: Validation scripts whose verdicts decide; see M(pgops.supabase.validation).
    type: list
    elements: path
    default: []
  warnings_as_failures:
    description: Whether a WARNING of a validation counts as a failure.
    type: bool
    default: false
  count_contract:
    description:
      - How many rows the migrations together add to a table (negative, take away), by its name; V(any) for any number. By
        default they change the number of rows of no table that was there before.
      - "It adds to what the files themselves declare in comment lines, C(-- pgops: rows public.notes +2)."
      - What other sessions write meanwhile is told, and is no failure.
    type: dict
    default: {}
  to_version:
    description: The newest version to apply, which has to be one of the files'. By default all that are pending.
    type: str
  waivers:
    description: Gates that were passed although they are closed, with the reasons; they stand in the ledger.
    type: dict
    default: {}
  lint_waivers:
    description: Findings of the linter that comments in the files accept, with the reasons; they stand in the ledger.
    type: list
    elements: dict
    default: []
  plan:
    description:
      - What M(pgops.supabase.migration_plan) returned, or the path of its C(plan.json). With it nothing else is run. The module
        fails when a file, a rollback, a validation or the schema is not as planned, also when that changed since the plan was
        approved.
      - By default what is pending is run.
    type: raw
  plan_hash:
    description: The hash of the plan that was approved. The module fails when O(plan) is another one.
    type: str
  approved_by:
    description: Who signed O(plan), as M(pgops.supabase.preflight_gates) found; they stand in the ledger.
    type: list
    elements: str
    default: []
  promotion:
    description:
      - What the project before has proven of each file, as M(pgops.supabase.promotion_info) returns it.
      - With it each file has to make the same catalog change here; otherwise everything is rolled back.
    type: list
    elements: dict
    default: []
  promotion_origin:
    description: Name of the project before, for the messages.
    type: str
    default: the project before
  allow_out_of_order:
    description: Whether to apply a pending version although a later one is applied.
    type: bool
    default: false
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.migration_info
  - module: pgops.supabase.rollback
"""

EXAMPLES = r"""
- name: Count the rows as they are
  pgops.supabase.row_counts:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
  register: before

- name: Apply what is pending, if the rows are all there afterwards and the validation passes
  pgops.supabase.migration:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    supabase_dir: supabase
    baseline: "{{ before.row_counts }}"
    validations:
      - supabase/VALIDATION_SQL.sql
"""

RETURN = r"""
changed:
  description: Whether migrations were committed, or would have been in check mode.
  returned: always
  type: bool
migration:
  description: What was done; also written to C(migration.json) in O(run_dir).
  returned: always, unless nothing could be read
  type: dict
  contains:
    migrations:
      description: Each file that was applied, with version, name, file, sha256, statements and duration_seconds.
      type: list
      elements: dict
    committed:
      description: Whether anything was committed.
      type: bool
    dry_run:
      description: Whether all of it was rolled back because of check mode.
      type: bool
    verified:
      description: V(before_commit) when the checks ran in the transaction, otherwise V(not_here).
      type: str
    catalog_before:
      description: Fingerprint of the catalog before.
      type: str
    catalog_after:
      description: Fingerprint of the catalog after.
      type: str
    catalog_changes:
      description: The objects that were created, changed and dropped.
      type: list
      elements: dict
    row_changes:
      description: What the migrations did to the number of rows of each table, for M(pgops.supabase.row_counts).
      type: list
      elements: dict
    row_declarations:
      description: What the files declare of that, and where.
      type: list
      elements: dict
    counts:
      description:
        - The tables whose number of rows was touched, or declared, before and after, with a verdict; V(null) when they were not
          compared here.
      type: dict
    receipt:
      description:
        - Of a dry run, also of one that failed.
      type: dict
      contains:
        violations:
          description:
            - Every constraint that rows break, with its place, its table and how many rows; C(follows) names the earlier
              statement that was left out and may be the only cause.
          type: list
          elements: dict
        not_executed:
          description: The statements that were left out, and why.
          type: list
          elements: dict
        locks:
          description: Relation, mode, the statement that took it, and for how long it was held.
          type: list
          elements: dict
        rewritten_tables:
          description: The tables that got new storage files, by which statement, and how large they are now.
          type: list
          elements: dict
        rows:
          description: Rows inserted, updated and deleted by table.
          type: list
          elements: dict
        sequences:
          description: The sequences that moved, from where to where. They stay so.
          type: list
          elements: dict
        migrations:
          description: Each file, with how many of its statements were executed and the objects that it changed.
          type: list
          elements: dict
        statements:
          description: Each statement that was executed, with its duration in seconds. A failure leaves them out.
          type: list
          elements: dict
    validation:
      description: The validation report; V(null) when nothing was validated here.
      type: dict
    notices:
      description: What the server said meanwhile.
      type: list
      elements: str
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

from ansible_collections.pgops.supabase.plugins.module_utils.apply.job import apply
from ansible_collections.pgops.supabase.plugins.module_utils.apply.options import ApplyOptions
from ansible_collections.pgops.supabase.plugins.module_utils.apply.verification import Checks
from ansible_collections.pgops.supabase.plugins.module_utils.base.document import from_dict
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.counts.comparison import baseline_tables
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.documents import PromotionProof
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.identity import given_plan
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
)
from ansible_collections.pgops.supabase.plugins.module_utils.validation.reader import read_validation_script


def migrate(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    run_dir = optional_path(params["run_dir"])
    checks = Checks(
        baseline=baseline_tables(params["baseline"]),
        contract=params["count_contract"],
        scripts=[read_validation_script(Path(path)) for path in params["validations"]],
        warnings_as_failures=params["warnings_as_failures"],
    )
    document_file = run_dir / "migration.json" if run_dir and not module.check_mode else None
    result = apply(
        connection_options(params),
        ApplyOptions(
            supabase_dir=Path(params["supabase_dir"]),
            operator=operator(),
            settings=session_settings(params),
            checks=checks,
            verify_before_commit=params["verify_before_commit"],
            run_id=params["run_id"],
            transaction_scope=params["transaction_scope"],
            schemas=params["schemas"],
            waivers=params["waivers"],
            lint_waivers=params["lint_waivers"],
            plan=given_plan(params["plan"], params["plan_hash"]),
            approved_by=params["approved_by"],
            promotion=[from_dict(PromotionProof, proof) for proof in params["promotion"]],
            origin=params["promotion_origin"],
            to_version=params["to_version"],
            allow_out_of_order=params["allow_out_of_order"],
            retries=params["retries"],
            lock_wait_seconds=params["lock_wait_seconds"],
            catalog_file=run_dir / "catalog-before.json" if run_dir else None,
            document_file=document_file,
            dry_run=module.check_mode,
        ),
    )
    document = result.as_dict()
    statements = sum(migration.statements for migration in result.migrations)
    done = "executed and rolled back" if module.check_mode else "committed"
    said = f"{number(statements, 'statement')} of {number(len(result.migrations), 'migration')} {done}"
    outcome = {"changed": bool(result.migrations), "msg": said, "migration": document}
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
            "transaction_scope": {"type": "str", "choices": ["batch", "file"], "default": "batch"},
            "verify_before_commit": {"type": "bool", "default": True},
            "validations": {"type": "list", "elements": "path", "default": []},
            "warnings_as_failures": {"type": "bool", "default": False},
            "count_contract": {"type": "dict", "default": {}},
            "to_version": {"type": "str"},
            "waivers": {"type": "dict", "default": {}},
            "lint_waivers": {"type": "list", "elements": "dict", "default": []},
            "plan": {"type": "raw"},
            "plan_hash": {"type": "str"},
            "approved_by": {"type": "list", "elements": "str", "default": []},
            "promotion": {"type": "list", "elements": "dict", "default": []},
            "promotion_origin": {"type": "str", "default": "the project before"},
            "allow_out_of_order": {"type": "bool", "default": False},
        },
        libraries=SQL_LIBRARIES,
    )
    run(module, lambda: migrate(module))


if __name__ == "__main__":
    main()
