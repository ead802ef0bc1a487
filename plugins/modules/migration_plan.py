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
  - Reads history, ledger and files, and tells which transactions would run, with which files, hashes, expected locks and
    rollbacks. It takes no lock on anything of the user's, so it is safe on production at peak.
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
      description: Hash of the files, their rollbacks and the way they are cut into transactions.
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
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.pgops.supabase.plugins.module_utils.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    MIGRATIONS_ARGUMENTS,
    RUN_ARGUMENTS,
    SQL_LIBRARIES,
    connection_options,
    make_module,
    run,
)
from ansible_collections.pgops.supabase.plugins.module_utils.plan import plan


def look(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    document = plan(
        connection_options(params),
        Path(params["supabase_dir"]),
        scope=params["transaction_scope"],
        to_version=params["to_version"],
        allow_out_of_order=params["allow_out_of_order"],
    ).as_dict()
    if params["run_dir"] and not module.check_mode:
        write_json(Path(params["run_dir"]) / "plan.json", document)
    return {"changed": False, "plan": document}


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
        },
        libraries=SQL_LIBRARIES,
    )
    run(module, lambda: look(module))


if __name__ == "__main__":
    main()
