#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: migration_plan
short_description: Show what an apply would do, without touching anything
version_added: 0.1.0
description:
  - Reads history, ledger, catalog and files, and tells which transactions would run, with which files, hashes, expected locks
    and rollbacks. It holds nobody up and waits for nobody, so it is safe on production at peak. Reading definitions takes
    C(ACCESS SHARE) for a moment, as every SELECT does; where somebody's exclusive lock is in the way, the plan does without.
  - The plan's hash is what people approve. It is the same on every machine with the same files, and another one as soon as a
    file, a rollback, a validation, the schema or a condition is another.
  - The locks are told from the text of the statements. What they really are, and how long they are held, an executed dry run
    of M(pgops.supabase.migration) tells.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.migrations
  - pgops.supabase.run
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  transaction_scope:
    description: How the apply would be cut, see M(pgops.supabase.migration).
    type: str
    choices: [batch, file]
    default: batch
  to_version:
    description: The newest version to apply. By default all that are pending.
    type: str
  allow_out_of_order:
    description: Whether a pending version may be older than the newest applied one.
    type: bool
    default: false
  project:
    description: The project's name in the inventory. It is part of the hash, so that a plan holds for one project.
    type: str
  project_ref:
    description: The project's reference on Supabase; part of the hash.
    type: str
  environment:
    description: What the project is for, such as V(prod); part of the hash.
    type: str
  schemas:
    description: The schemas that are the user's own. By default all but the platform's.
    type: list
    elements: str
  verify_before_commit:
    description: Whether the checks are going to decide before COMMIT, where they are quick enough; part of the hash.
    type: bool
    default: true
  validations:
    description: The validation scripts that are going to decide. Their hashes are part of the plan's.
    type: list
    elements: path
    default: []
  warnings_as_failures:
    description: Whether a WARNING of a validation is going to count as a failure; part of the hash.
    type: bool
    default: false
  count_contract:
    description: By how many rows tables may differ, see M(pgops.supabase.migration); part of the hash.
    type: dict
    default: {}
  plans_dir:
    description:
      - Where to keep the plan, as C(<hash>.json). Signatures are put beside it. A plan without any step is not kept, and none is
        in check mode.
    type: path
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.migration
  - module: pgops.supabase.migration_lint
"""

EXAMPLES = r"""
- name: See what would run on production
  pgops.supabase.migration_plan:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    supabase_dir: supabase
  register: planned

- name: Show the hash that is to be approved
  ansible.builtin.debug:
    var: planned.plan.plan_hash
"""

RETURN = r"""
changed:
  description: Always V(false).
  returned: always
  type: bool
plan:
  description: The plan; also written to C(plan.json) in O(run_dir).
  returned: success
  type: dict
  contains:
    plan_hash:
      description: What is approved, see above. Times, sizes and a machine's paths are not in it.
      type: str
    catalog_before:
      description: Fingerprint of the schema that the plan is made for, V(null) where an exclusive lock hid it.
      type: str
    steps:
      description:
        - The transactions in order, each with its C(migrations). A step with C(outside_transaction) is one file that runs
          statement by statement.
      type: list
      elements: dict
    lock_table_capacity:
      description: About how many locks the server can hold; a batch that needs more is cut.
      type: int
plan_file:
  description: Where the plan is kept, V(null) where it is not.
  returned: success
  type: str
sign_command:
  description: What a person types to approve the plan, V(null) where it is not kept.
  returned: success
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.gates.signatures import sign_command
from ansible_collections.pgops.supabase.plugins.module_utils.migrations.plan import PlanOptions, keep_plan, plan
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    MIGRATIONS_ARGUMENTS,
    RUN_ARGUMENTS,
    SQL_LIBRARIES,
    connection_options,
    make_module,
    optional_path,
    run,
)


def look(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine, and where its document is kept."""
    params = module.params
    document = plan(
        connection_options(params),
        PlanOptions(
            supabase_dir=Path(params["supabase_dir"]),
            project=params["project"] or None,
            project_ref=params["project_ref"] or None,
            environment=params["environment"] or None,
            transaction_scope=params["transaction_scope"],
            to_version=params["to_version"],
            allow_out_of_order=params["allow_out_of_order"],
            schemas=params["schemas"],
            verify_before_commit=params["verify_before_commit"],
            warnings_as_failures=params["warnings_as_failures"],
            count_contract=params["count_contract"],
            validations=[Path(path) for path in params["validations"]],
        ),
    )
    if params["run_dir"] and not module.check_mode:
        write_json(Path(params["run_dir"]) / "plan.json", document.as_dict())
    plans_dir = optional_path(params["plans_dir"]) if document.steps and not module.check_mode else None
    return {
        "changed": False,
        "plan": document.as_dict(),
        "plan_file": str(keep_plan(document, plans_dir)) if plans_dir else None,
        "sign_command": sign_command(document.plan_hash, plans_dir) if plans_dir else None,
    }


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **MIGRATIONS_ARGUMENTS,
            **RUN_ARGUMENTS,
            "transaction_scope": {"type": "str", "choices": ["batch", "file"], "default": "batch"},
            "to_version": {"type": "str"},
            "allow_out_of_order": {"type": "bool", "default": False},
            "project": {"type": "str"},
            "project_ref": {"type": "str"},
            "environment": {"type": "str"},
            "schemas": {"type": "list", "elements": "str"},
            "verify_before_commit": {"type": "bool", "default": True},
            "validations": {"type": "list", "elements": "path", "default": []},
            "warnings_as_failures": {"type": "bool", "default": False},
            "count_contract": {"type": "dict", "default": {}},
            "plans_dir": {"type": "path"},
        },
        libraries=SQL_LIBRARIES,
    )
    run(module, lambda: look(module))


if __name__ == "__main__":
    main()
