#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: reconciliation
short_description: Compare two projects and the files in git, and say what leads back to one
version_added: 0.1.0
description:
  - Reads two projects, each in one read-only snapshot. That is Supabase's history, the ledger, the schema with grants, policies,
    owners and default privileges, the jobs of pg_cron, and the exact rows of every table. Triggers and policies of the user's on
    the platform's tables are part of it, the platform's own schemas are not.
  - Compares the three histories. The same migration under two versions is found by equal statements, by the hash or the change
    that both ledgers know, or by its name. So are migrations that were applied twice, on one side only, out of order, by hand, or
    from another text than the file's. Each comes with its proof and with the command to type next.
  - Compares the schemas. Each difference has a direction, a risk with the reason for it, and the rows that it is about.
  - Changes nothing in either project.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.migrations
  - pgops.supabase.timeouts
attributes:
  check_mode:
    support: full
    details:
      - Reads and compares as always; no document is written.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  target_name:
    description: Name of the project that this connection leads to; it stands in the documents and in the commands.
    type: str
    required: true
  source_name:
    description: Name of the project that it is compared with.
    type: str
    required: true
  source:
    description:
      - The connection to that project, with the same options as this one, for example the C(project_connection) of another host.
    type: dict
    required: true
    suboptions:
      login_host:
        description: Host of the other database.
        type: str
        required: true
      login_port:
        description: Port of the other database.
        type: int
        default: 5432
      login_user:
        description: Role to log in as.
        type: str
        default: postgres
      login_password:
        description: Password of the role.
        type: str
      login_db:
        description: Name of the other database.
        type: str
        default: postgres
      ssl_mode:
        description: How far the connection is encrypted and the server's certificate checked, as libpq's C(sslmode).
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
        default: verify-full
      ca_cert:
        description: File with the certificate of the authority that signed the server's.
        type: path
      ssl_cert:
        description: File with the client's certificate.
        type: path
      ssl_key:
        description: File with the client's key.
        type: path
      connect_params:
        description: Any other connection parameters of libpq by their key words.
        type: dict
        default: {}
      session_role:
        description: Role to become after the login, as with SET ROLE.
        type: str
  directory:
    description:
      - Directory in which a new one is made for the documents. Without it none is written.
    type: path
  schemas:
    description: The schemas to compare. By default every schema that is the user's own.
    type: list
    elements: str
  ignore:
    description:
      - Patterns, with V(*), V(?) and V([...]), of what may differ, as M(pgops.supabase.schema_diff) takes them.
      - Beside objects and attributes they name V(cron job NAME) and V(migration VERSION_NAME).
    type: list
    elements: str
    default: []
  count_rows:
    description: Whether to count the rows of every table exactly. Without it, what is dropped counts as if it held rows.
    type: bool
    default: true
  equal_rows:
    description:
      - Tables that have to have equally many rows on both sides, such as lists that migrations fill. Of others the counts are
        information. Needs O(count_rows).
    type: list
    elements: str
    default: []
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.schema_diff
  - module: pgops.supabase.migration_info
  - module: pgops.supabase.migration_adopt
"""

EXAMPLES = r"""
- name: See how production differs from development and from git
  pgops.supabase.reconciliation:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    target_name: ready_set_prod
    source_name: ready_set_dev
    source:
      login_host: db.tsrqponmlkjihgfedcba.supabase.co
      login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DEV_DB_PASSWORD') }}"
      ca_cert: prod-ca-2021.crt
    supabase_dir: supabase
    directory: runs/ready_set_prod/reconcile
  register: found

- name: Show the first of it
  ansible.builtin.debug:
    msg: "{{ found.reconciliation.first }}"
"""

RETURN = r"""
changed:
  description: Always V(false).
  returned: always
  type: bool
reconciliation:
  description: What was found, in short. The whole is in C(reconcile.json).
  returned: success
  type: dict
  contains:
    headline:
      description: The result in one line.
      type: str
    equal:
      description: Whether nothing was found, neither in the histories nor in the schemas.
      type: bool
    by_risk:
      description: How many findings and differences are of each risk, V(data_loss), V(security), V(availability), V(cosmetic).
      type: dict
      sample:
        data_loss: 0
        security: 2
        availability: 3
        cosmetic: 1
    history:
      description: Number of findings in the histories.
      type: int
    differences:
      description: Number of differences of the schemas.
      type: int
    first:
      description: The first findings, the worst first, in a line each.
      type: list
      elements: str
    since:
      description: Since when the histories differ, V(null) where they do not.
      type: str
    next_command:
      description: What to type next, V(null) where there is nothing to do.
      type: str
    path:
      description: Directory of the documents; V(null) where none were written.
      type: str
    report:
      description: The report for a browser, C(reconcile.html); C(reconcile.md) where Jinja2 is not installed where the module runs.
      type: str
    document:
      description: The whole comparison, C(reconcile.json).
      type: str
    catalogs:
      description: By the name of each project the file with its schema, as M(pgops.supabase.schema_info) writes it.
      type: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    MIGRATIONS_ARGUMENTS,
    SQL_LIBRARIES,
    TIMEOUT_ARGUMENTS,
    connection_options,
    make_module,
    optional_path,
    read_only_settings,
    run,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.job import (
    Named,
    ReconcileOptions,
    in_short,
    reconcile,
)


def look(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    found, directory = reconcile(
        Named(params["source_name"], connection_options(params["source"])),
        Named(params["target_name"], connection_options(params)),
        ReconcileOptions(
            supabase_dir=Path(params["supabase_dir"]),
            settings=read_only_settings(params),
            schemas=params["schemas"],
            ignore=params["ignore"],
            equal_rows=params["equal_rows"],
            count_rows=params["count_rows"],
            directory=None if module.check_mode else optional_path(params["directory"]),
        ),
    )
    short = in_short(found, directory)
    return {"changed": False, "msg": short["headline"].partition(": ")[2], "reconciliation": short}


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **MIGRATIONS_ARGUMENTS,
            **TIMEOUT_ARGUMENTS,
            "target_name": {"type": "str", "required": True},
            "source_name": {"type": "str", "required": True},
            "source": {"type": "dict", "required": True, "options": CONNECTION_ARGUMENTS},
            "directory": {"type": "path"},
            "schemas": {"type": "list", "elements": "str"},
            "ignore": {"type": "list", "elements": "str", "default": []},
            "count_rows": {"type": "bool", "default": True},
            "equal_rows": {"type": "list", "elements": "str", "default": []},
        },
        libraries=SQL_LIBRARIES,
    )
    run(module, lambda: look(module))


if __name__ == "__main__":
    main()
