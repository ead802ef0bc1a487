#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: run_info
short_description: List the runs and the rehearsals of a project, newest first
version_added: 0.1.0
description:
  - Reads C(run.json) of every run, and C(rehearsal.json) of every rehearsal, in the project's directory.
extends_documentation_fragment:
  - pgops.supabase.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  project_dir:
    description: Directory with the project's runs, C(<state_dir>/<project>). It may be missing.
    type: path
    required: true
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.run_record
  - module: pgops.supabase.rehearsal
"""

EXAMPLES = r"""
- name: Look at what was done to the project
  pgops.supabase.run_info:
    project_dir: runs/ready_set_prod
  register: found

- name: Show the last verdict
  ansible.builtin.debug:
    msg: "{{ (found.runs | first).run.verdict }}"
  when: found.runs | length > 0
"""

RETURN = r"""
changed:
  description: Always V(false).
  returned: always
  type: bool
runs:
  description: The runs, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Directory of the run.
      type: str
    run:
      description: Its identity and verdict, as in C(run.json).
      type: dict
rehearsals:
  description: The rehearsals, newest first.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Directory of the rehearsal.
      type: str
    rehearsal:
      description: Its files, verdict and estimate, as in C(rehearsal.json).
      type: dict
monitor:
  description: The last watch of the project by M(pgops.supabase.monitor), V(null) where there is none.
  returned: success
  type: dict
  contains:
    path:
      description: Directory of its documents.
      type: str
    state:
      description: V(running), V(finished), V(stopped) or V(timer), as it wrote last.
      type: str
    started_at:
      description: When it began, UTC.
      type: str
    ends_at:
      description: Until when it goes on, V(null) of a timer's.
      type: str
    last_sample_at:
      description: When it looked last.
      type: str
    samples:
      description: How often it looked.
      type: int
    alerts:
      description: How many alerts there were.
      type: int
    alerts_open:
      description: What is still worse than it has to be, in sentences.
      type: list
      elements: str
unreadable:
  description: The runs and rehearsals whose document is damaged, each with what is wrong.
  returned: success
  type: list
  elements: str
"""

import dataclasses
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.module import run
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.job import last_watch
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.judgement import open_episodes
from ansible_collections.pgops.supabase.plugins.module_utils.rehearsal.records import list_rehearsals
from ansible_collections.pgops.supabase.plugins.module_utils.runs.records import list_runs


def watch_of(project_dir: Path) -> dict[str, Any] | None:
    """The last watch, in a few facts."""
    if (found := last_watch(project_dir)) is None:
        return None
    path, record = found
    names = ("state", "started_at", "ends_at", "last_sample_at", "samples")
    return {
        "path": str(path),
        **{name: getattr(record, name) for name in names},
        "alerts": len(record.episodes),
        "alerts_open": [one.message for one in open_episodes(record)],
    }


def look(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    project_dir = Path(module.params["project_dir"])
    runs, unreadable_runs = list_runs(project_dir)
    rehearsals, unreadable_rehearsals = list_rehearsals(project_dir)
    return {
        "changed": False,
        "runs": [dataclasses.asdict(entry) for entry in runs],
        "rehearsals": [dataclasses.asdict(entry) for entry in rehearsals],
        "monitor": watch_of(project_dir),
        "unreadable": unreadable_runs + unreadable_rehearsals,
    }


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(argument_spec={"project_dir": {"type": "path", "required": True}}, supports_check_mode=True)
    run(module, lambda: look(module))


if __name__ == "__main__":
    main()
