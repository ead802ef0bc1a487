#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: application_info
short_description: Show what an application's repository says of its Supabase projects
version_added: 0.1.0
description:
  - Reads C(supabase/config.toml), the reference that C(supabase link) left, the folders of migrations and rollbacks, and git's
    remote. Nothing is written, and nobody outside this machine is asked.
  - The playbook C(pgops.supabase.init) writes an inventory from it.
extends_documentation_fragment:
  - pgops.supabase.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
requirements:
  - Python >= 3.11
options:
  path:
    description:
      - The application's directory. Where it has no C(supabase) of its own, the one folder of that name below it is taken.
    type: path
    required: true
author:
  - pgops.supabase contributors (@pgops)
"""

EXAMPLES = r"""
- name: Look at an application
  pgops.supabase.application_info:
    path: ~/my-app
  register: found

- name: Show its migrations' number
  ansible.builtin.debug:
    msg: "{{ found.application.name }}: {{ found.application.migrations }} migrations"
"""

RETURN = r"""
changed:
  description: Always V(false).
  returned: always
  type: bool
application:
  description: What was found.
  returned: success
  type: dict
  contains:
    root:
      description: The directory, absolute.
      type: str
    supabase_dir:
      description: Its folder with C(migrations), absolute.
      type: str
    name:
      description: A name for hosts, from C(project_id) or the directory.
      type: str
    references:
      description: The references of projects that the files name, by V(dev) and V(prod).
      type: dict
    server_major:
      description: The major version of PostgreSQL that C(config.toml) names.
      type: int
    migrations:
      description: How many files are migrations.
      type: int
    has_rollbacks:
      description: Whether there are rollbacks.
      type: bool
    has_validations:
      description: Whether there is a validation script.
      type: bool
    git_host:
      description: Where git's remote C(origin) is.
      type: str
    problems:
      description: What could not be read, each with its place.
      type: list
      elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.migrations.application import read_application
from ansible_collections.pgops.supabase.plugins.module_utils.module import run


def look(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    return {"changed": False, "application": read_application(Path(module.params["path"])).as_dict()}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec={"path": {"type": "path", "required": True}}, supports_check_mode=True)
    run(module, lambda: look(module))


if __name__ == "__main__":
    main()
