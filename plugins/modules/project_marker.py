#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: project_marker
short_description: Mark a database as the project that it is, so that development is never taken for production
version_added: 0.1.0
description:
  - Writes one row with O(project), O(project_ref), O(environment) and the server's system identifier to C(pgops.project_marker).
    From then on M(pgops.supabase.preflight_gates) and the backup refuse the database for any other project.
  - Do it once, when you are sure. An existing marker is never changed. A database is refused that is marked as something else,
    or whose name, host or user belong to another project.
  - The table is closed to the roles of Supabase's API.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
attributes:
  check_mode:
    support: full
    details:
      - Says whether it would be marked, and fails where it would fail; nothing is written.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description: V(present) is marked.
    type: str
    choices: [present]
    default: present
  project:
    description: The project's name in the inventory.
    type: str
    required: true
  project_ref:
    description: The project's reference on Supabase. It has to be the one in the host's and the pooler user's name.
    type: str
  environment:
    description: What the project is for, such as V(dev) or V(prod).
    type: str
    required: true
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.preflight_gates
"""

EXAMPLES = r"""
- name: Mark production, once, when you are sure that it is production
  pgops.supabase.project_marker:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    project: my_app_prod
    project_ref: abcdefghijklmnopqrst
    environment: prod
"""

RETURN = r"""
changed:
  description: Whether the database was marked, or would be in check mode.
  returned: always
  type: bool
marker:
  description: The marker as it is now, V(null) in check mode where there is none yet.
  returned: success
  type: dict
  contains:
    project:
      description: The project's name.
      type: str
    ref:
      description: Its reference on Supabase, V(null) when none was given.
      type: str
    environment:
      description: What it is for.
      type: str
    created_at:
      description: When it was marked, UTC.
      type: str
    system_identifier:
      description: The server that it was marked on, V(null) where the role may not read it.
      type: str
"""

import dataclasses
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.gates.marking import MarkerResult, mark_project
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    connection_options,
    make_module,
    run,
)


def mark(module: AnsibleModule) -> MarkerResult:
    """The module's one call into the engine."""
    params = module.params
    return mark_project(
        connection_options(params),
        project=params["project"],
        ref=params["project_ref"] or None,
        environment=params["environment"],
        pretend=module.check_mode,
    )


def result_of(module: AnsibleModule, done: MarkerResult) -> dict[str, Any]:
    """The module's result; what diff mode shows is the marker that is asked for."""
    names = {"project": "project", "ref": "project_ref", "environment": "environment"}
    wanted = {name: module.params[option] or None for name, option in names.items()}
    diff = {"diff": {"before": {}, "after": wanted}} if module._diff and done.changed else {}
    marker = dataclasses.asdict(done.after) if done.after else None
    return {"changed": done.changed, "marker": marker, **diff}


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            "state": {"type": "str", "choices": ["present"], "default": "present"},
            "project": {"type": "str", "required": True},
            "project_ref": {"type": "str"},
            "environment": {"type": "str", "required": True},
        }
    )
    run(module, lambda: result_of(module, mark(module)))


if __name__ == "__main__":
    main()
