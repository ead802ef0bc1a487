#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: migration_info
short_description: Show which migrations are applied, pending, edited, out of order or without a file
version_added: 0.1.0
description:
  - Compares the project's migration files with Supabase's history and the ledger of this collection.
  - Reads only; takes no locks that could hold up anybody.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.migrations
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  check_files:
    description:
      - Whether to look for what would stop an apply before it begins, where files and database disagree or a pending file cannot be
        run. It is returned as RV(error), and the module does not fail; C(failed_when) can.
    type: bool
    default: false
  allow_out_of_order:
    description: With O(check_files), whether a pending version may be older than the newest applied one.
    type: bool
    default: false
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.migration
"""

EXAMPLES = r"""
- name: See what is pending on production
  pgops.supabase.migration_info:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    supabase_dir: supabase
  register: found

- name: Show it
  ansible.builtin.debug:
    var: found.migration_info.pending
"""

RETURN = r"""
changed:
  description: Always V(false).
  returned: always
  type: bool
error:
  description:
    - With O(check_files), what would stop an apply before it begins (what, where, state and next_step), as that apply would report it;
      C(msg) holds it for a person.
  returned: when there is such a thing
  type: dict
migration_info:
  description: The state of each migration.
  returned: success
  type: dict
  contains:
    database:
      description: Name of the database.
      type: str
    server_version:
      description: Version of the server.
      type: str
    migrations:
      description: Each migration of the files and of the database, in order, with its C(state), hash, files and who applied it.
      type: list
      elements: dict
    applied:
      description: Versions that are applied and whose file is the one that was applied.
      type: list
      elements: str
    pending:
      description: Versions that M(pgops.supabase.migration) would apply.
      type: list
      elements: str
    edited:
      description: Applied versions whose file was changed since.
      type: list
      elements: str
    out_of_order:
      description: Versions not applied although a later one is.
      type: list
      elements: str
    remote_only:
      description: Applied versions for which there is no file.
      type: list
      elements: str
    problems:
      description: What disagrees, in sentences; empty when all is well.
      type: list
      elements: str
    left_out:
      description:
        - What lies in the migrations directory and is not applied, as by the Supabase CLI. It is no file named C(<version>_<name>.sql),
          or it is the first one, named C(<version>_init.sql), from before 20211209000000. Another name has it applied.
      type: list
      elements: str
    last_event:
      description: The newest event of the ledger, V(null) when there is none.
      type: dict
    half_done:
      description:
        - Versions that run outside a transaction and were cut short, each with the number of C(finished) statements and the one that
          had C(begun) and was not seen to end. The next apply goes on there.
      type: list
      elements: dict
    lease:
      description: Who holds the project now and until when, V(null) when nobody does.
      type: dict
    maintenance:
      description:
        - Who has stopped the application's writes, since when and by which strategy, V(null) while they are on. C(left_behind) is
          V(true) when the run that did is over.
      type: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.migrations.status import migration_info
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    MIGRATIONS_ARGUMENTS,
    SQL_LIBRARIES,
    connection_options,
    make_module,
    run,
)


def look(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    info, problem = migration_info(
        connection_options(params),
        Path(params["supabase_dir"]),
        check_files=params["check_files"],
        allow_out_of_order=params["allow_out_of_order"],
    )
    result: dict[str, Any] = {"changed": False, "migration_info": info.as_dict()}
    if problem is not None:
        error = problem.as_dict()
        result |= {"msg": error.pop("what"), "error": error}
    return result


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **MIGRATIONS_ARGUMENTS,
            "check_files": {"type": "bool", "default": False},
            "allow_out_of_order": {"type": "bool", "default": False},
        },
        libraries=SQL_LIBRARIES,
    )
    run(module, lambda: look(module))


if __name__ == "__main__":
    main()
