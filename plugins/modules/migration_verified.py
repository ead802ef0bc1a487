#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: migration_verified
short_description: Record in the ledger that what a run applied was verified after COMMIT
version_added: 0.1.0
description:
  - Call it when counts and validations passed after a migration. A migration that was verified inside its transaction needs
    no such record, and gets none.
  - A project that promotes from this one accepts only what was verified here, see M(pgops.supabase.promotion_info).
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  run_id:
    description: The run whose migrations were verified.
    type: str
    required: true
author:
  - pgops.supabase contributors (@pgops)
"""

EXAMPLES = r"""
- name: Record that the last run was verified
  pgops.supabase.migration_verified:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    run_id: 20261122T234701Z-644e
"""

RETURN = r"""
changed:
  description: Whether anything was recorded, or would have been in check mode.
  returned: always
  type: bool
versions:
  description: The versions that were recorded as verified.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.ledger.verified import record_verified
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    connection_options,
    make_module,
    operator,
    run,
)


def record(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    versions = record_verified(
        connection_options(module.params),
        run_id=module.params["run_id"],
        operator=operator(),
        dry_run=module.check_mode,
    )
    return {"changed": bool(versions), "versions": versions}


def main() -> None:
    """Run as an Ansible module."""
    module = make_module({**CONNECTION_ARGUMENTS, "run_id": {"type": "str", "required": True}})
    run(module, lambda: record(module))


if __name__ == "__main__":
    main()
