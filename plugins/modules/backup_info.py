#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: List a project's backups and prove that they are sound
version_added: 0.1.0
description:
  - Finds the backups of a project's runs on this machine and compares them with their manifests.
  - Needs no connection to the database.
  - Unfinished backups are listed too, as not sound.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
extends_documentation_fragment:
  - pgops.supabase.attributes
options:
  project_dir:
    description: Directory of the project's runs. One that does not exist holds no backups.
    type: path
    required: true
  verify:
    description:
      - V(none) compares the sizes of the files with the manifest.
      - V(checksums) compares their SHA-256 too.
      - V(read) reads each archive with C(pg_restore) besides.
    type: str
    choices: [none, checksums, read]
    default: none
  pg_bin:
    description: Directory of PostgreSQL's programs. By default E(PG_BIN), then the collection's own, then the newest installed.
    type: path
  identity_file:
    description:
      - Private key of age for encrypted backups, with O(verify=read). Without it those are checked as with V(checksums).
    type: path
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.backup
"""

EXAMPLES = r"""
- name: Look at the project's backups
  pgops.supabase.backup_info:
    project_dir: runs/ready_set_prod
    verify: checksums
  register: found

- name: Require a sound backup that is at most a day old
  ansible.builtin.assert:
    that: found.backups | selectattr('sound') | selectattr('age_seconds', 'lt', 86400) | length > 0
    fail_msg: There is no sound backup of the last day.
"""

RETURN = r"""
changed:
  description: Always V(false).
  returned: always
  type: bool
backups:
  description: The backups, newest first, then what has no manifest.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Directory of the backup.
      type: str
    manifest:
      description: Its manifest as M(pgops.supabase.backup) returns it, V(null) when there is none.
      type: dict
    age_seconds:
      description: How long ago it was begun.
      type: float
    sound:
      description: Whether all files are what the manifest says.
      type: bool
    problems:
      description: What is wrong with it.
      type: list
      elements: str
    checked:
      description: How far it was checked, see O(verify).
      type: str
"""

import dataclasses
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import find_backups
from ansible_collections.pgops.supabase.plugins.module_utils.module import optional_path, run


def look(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    entries = find_backups(
        Path(params["project_dir"]),
        verify=params["verify"],
        pg_bin=params["pg_bin"],
        identity_file=optional_path(params["identity_file"]),
    )
    return {
        "changed": False,
        "backups": [
            {**dataclasses.asdict(entry), "manifest": entry.manifest.as_dict() if entry.manifest else None}
            for entry in entries
        ],
    }


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "project_dir": {"type": "path", "required": True},
            "verify": {"type": "str", "choices": ["none", "checksums", "read"], "default": "none"},
            "pg_bin": {"type": "path"},
            "identity_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    run(module, lambda: look(module))


if __name__ == "__main__":
    main()
