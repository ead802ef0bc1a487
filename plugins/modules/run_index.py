#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: run_index
short_description: Write index pages of the runs, with links to their reports
version_added: 0.1.0
description:
  - Writes C(index.html) into the directory of each project that has runs. Each run has a line with its verdict, when it was, how long it took, its
    migrations, and a link to C(report.html); a run of an earlier release has C(report.md).
  - Writes C(index.html) into O(state_dir) as well, with the last run of each project.
  - Needs no database.
extends_documentation_fragment:
  - pgops.supabase.attributes
attributes:
  check_mode:
    support: full
    details:
      - Says whether a page would be written.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  state_dir:
    description: Directory of all projects' runs. It may be missing.
    type: path
    required: true
  project:
    description: The project's name in the inventory. It gets an index also where it has no run yet.
    type: str
    required: true
author:
  - pgops.supabase contributors (@pgops)
requirements:
  - Jinja2
seealso:
  - module: pgops.supabase.run_info
  - module: pgops.supabase.run_record
"""

EXAMPLES = r"""
- name: Write the index of the project's runs
  pgops.supabase.run_index:
    state_dir: runs
    project: ready_set_prod
  register: index

- name: Say where it is
  ansible.builtin.debug:
    var: index.path
"""

RETURN = r"""
changed:
  description: Whether a page is not what it was.
  returned: always
  type: bool
path:
  description: The index of the project's runs.
  returned: success
  type: str
written:
  description: The files that were written, or would be in check mode.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.module import make_module, run
from ansible_collections.pgops.supabase.plugins.module_utils.report.index import INDEX_FILE, write_indexes


def write(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    state_dir, project = Path(module.params["state_dir"]).absolute(), module.params["project"]
    written = write_indexes(state_dir, project, dry_run=module.check_mode)
    return {
        "changed": bool(written),
        "path": str(state_dir / project / INDEX_FILE),
        "written": [str(file) for file in written],
    }


def main() -> None:
    """Run as an Ansible module."""
    arguments = {"state_dir": {"type": "path", "required": True}, "project": {"type": "str", "required": True}}
    module = make_module(arguments, libraries=("jinja2",))
    run(module, lambda: write(module))


if __name__ == "__main__":
    main()
