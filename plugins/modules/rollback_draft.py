#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: rollback_draft
short_description: Draft the rollbacks of pending migrations from what they change in the catalog
version_added: 0.1.0
description:
  - Executes the pending migrations in a transaction that is rolled back, and drafts the way back of each from the catalogs
    before and after it. Created objects are dropped in the order of their dependencies. Changed ones get their earlier
    definition, and those dropped without data are made again.
  - Each draft is tried in the same transaction. It says of itself whether it leaves the catalog exactly as it was.
  - What is not mechanical stands in the draft as a comment. Dropped tables and columns, converted types, new values of an
    enum, and anything that looks renamed are not, and neither is what a migration does to rows.
  - A draft is C(rollbacks/<version>_<name>.sql.draft), a name that nothing takes for a rollback. Its first line marks it as not
    reviewed; as long as it stands there, M(pgops.supabase.rollback) refuses the file under any name.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.migrations
  - pgops.supabase.migrations.locking
  - pgops.supabase.timeouts
attributes:
  check_mode:
    support: full
    details:
      - Everything is executed, tried and rolled back as always; no file is written.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  versions:
    description: The pending migrations to draft for. By default those without a rollback file.
    type: list
    elements: str
    default: []
  replace:
    description: Whether to write a draft anew that is there with other content, and may have been worked on.
    type: bool
    default: false
  allow_out_of_order:
    description: Whether a pending migration may be older than the newest applied one.
    type: bool
    default: false
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.rollback
  - module: pgops.supabase.migration
"""

EXAMPLES = r"""
- name: Draft the rollbacks that are missing, on development
  pgops.supabase.rollback_draft:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    supabase_dir: supabase
  register: drafted

- name: Show what has to be written by hand
  ansible.builtin.debug:
    msg: "{{ drafted.rollback_drafts.drafts | map(attribute='not_covered') | flatten }}"
"""

RETURN = r"""
changed:
  description: Whether a draft was written, or would have been in check mode.
  returned: always
  type: bool
rollback_drafts:
  description: What was drafted.
  returned: success
  type: dict
  contains:
    drafts:
      description: Each draft in the order of the migrations.
      type: list
      elements: dict
      contains:
        version:
          description: Version of the migration.
          type: str
        file:
          description: The draft's file.
          type: str
        outcome:
          description:
            - V(written), V(unchanged), or V(kept) when another draft was there and O(replace) is not set.
            - V(not_needed) when the migration changes nothing in the catalog.
          type: str
        exact:
          description: Whether the migration and then the draft left the catalog exactly as it was.
          type: bool
        differences:
          description: The objects that differ when it did not.
          type: list
          elements: dict
        failure:
          description: What PostgreSQL refused of the draft, V(null) when it ran.
          type: str
        statements:
          description: Number of its statements.
          type: int
        not_covered:
          description: Objects that are left to a person, each with the reason.
          type: list
          elements: dict
        not_executed:
          description: Statements of the migration that cannot run in a transaction.
          type: list
          elements: dict
        rows_written:
          description: Rows that the migration writes, by table; no draft takes them back.
          type: list
          elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.drafts.job import DraftOptions, draft_rollbacks
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    LOCK_ARGUMENTS,
    MIGRATIONS_ARGUMENTS,
    SQL_LIBRARIES,
    TIMEOUT_ARGUMENTS,
    connection_options,
    make_module,
    run,
    session_settings,
)


def draft(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    result = draft_rollbacks(
        connection_options(params),
        DraftOptions(
            supabase_dir=Path(params["supabase_dir"]),
            settings=session_settings(params),
            versions=params["versions"],
            replace=params["replace"],
            allow_out_of_order=params["allow_out_of_order"],
            schemas=params["schemas"],
            retries=params["retries"],
            lock_wait_seconds=params["lock_wait_seconds"],
            dry_run=module.check_mode,
        ),
    )
    written = any(item.outcome == "written" for item in result.drafts)
    return {"changed": written, "rollback_drafts": result.as_dict()}


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **MIGRATIONS_ARGUMENTS,
            **TIMEOUT_ARGUMENTS,
            **LOCK_ARGUMENTS,
            "versions": {"type": "list", "elements": "str", "default": []},
            "replace": {"type": "bool", "default": False},
            "allow_out_of_order": {"type": "bool", "default": False},
        },
        libraries=SQL_LIBRARIES,
    )
    run(module, lambda: draft(module))


if __name__ == "__main__":
    main()
