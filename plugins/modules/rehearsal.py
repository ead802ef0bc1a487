#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: rehearsal
short_description: Open a rehearsal with the newest verified backup, and close it with a verdict and an estimate
version_added: 0.1.0
description:
  - A rehearsal applies the pending migrations to a restored backup, validates, takes them back, compares and applies them
    again. The role P(pgops.supabase.rehearse#role) runs the steps with the modules that do the same to a project; this module
    chooses the backup they begin from, and makes one document of what they returned.
  - It has one directory, C(<state_dir>/<project>/rehearsals/<rehearsal_id>), with C(rehearsal.json).
  - It passes when every step succeeded, every migration has a rollback, and the rollback returned exactly the schema and the
    rows of every table.
  - Needs no database.
extends_documentation_fragment:
  - pgops.supabase.attributes
attributes:
  check_mode:
    support: full
    details:
      - Chooses the backup and judges as always; nothing is written.
  diff_mode:
    support: none
  idempotent:
    support: none
options:
  state:
    description: V(started) opens a new rehearsal, V(finished) closes the one in O(rehearsal_dir).
    type: str
    choices: [started, finished]
    default: started
  state_dir:
    description: Directory of all projects' runs, which hold the backups. Required to start.
    type: path
  project:
    description: The project's name in the inventory. Required to start.
    type: str
  max_backup_age_seconds:
    description: How old the newest verified backup may be. Without it any age will do.
    type: float
  abandoned_after_seconds:
    description: After how long without a sign of life a rehearsal without a verdict is taken for dead, for RV(abandoned).
    type: float
    default: 3600
  target:
    description: The project that the backup is to be restored into, by its name. Without it, it is a scratch server.
    type: str
  pg_bin:
    description: Directory of PostgreSQL's programs for the scratch server; binding when given.
    type: path
  rehearsal_dir:
    description: The rehearsal to finish, as returned when it was started.
    type: path
  supabase_dir:
    description: The project's folder in Supabase's layout, whose files were rehearsed. Required to finish.
    type: path
  documents:
    description:
      - What the steps returned, by the steps' names, as far as they came.
      - The names are V(plan), V(project_counts), V(restored), V(counts_before), V(dry_run), V(up), V(down), V(schema_diff),
        V(counts_after), V(up_again) and V(drafts).
    type: dict
    default: {}
  failed_phase:
    description: The step that failed. Leave it out when none did.
    type: str
  failure:
    description: The failure as it was shown.
    type: str
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.preflight_gates
  - module: pgops.supabase.rollback_draft
  - module: pgops.supabase.restore
"""

EXAMPLES = r"""
- name: Choose the backup
  pgops.supabase.rehearsal:
    state_dir: runs
    project: ready_set_prod
  register: opened

- name: Close the rehearsal
  pgops.supabase.rehearsal:
    state: finished
    rehearsal_dir: "{{ opened.rehearsal_dir }}"
    supabase_dir: supabase
    failed_phase: Restore the backup
    failure: There is no room on the disk
  register: closed

- name: Show the verdict
  ansible.builtin.debug:
    msg: "{{ closed.rehearsal.verdict }}: {{ closed.rehearsal.reasons | join('; ') }}"
"""

RETURN = r"""
changed:
  description: Whether C(rehearsal.json) was written, or would have been in check mode.
  returned: always
  type: bool
rehearsal_dir:
  description: The rehearsal's directory.
  returned: success
  type: str
abandoned:
  description:
    - Directories of earlier rehearsals of the project that were killed, and whose scratch server, with the project's rows, is
      still there. It is for the caller to remove it and to finish them.
  returned: when O(state=started)
  type: list
  elements: str
server_programs:
  description:
    - Directory of PostgreSQL's programs for the scratch server, of the backup's major version or the next newer one that is installed.
    - V(null) for those that come with the collection's requirements, and where O(target) is given.
  returned: when O(state=started)
  type: str
backup:
  description: Directory of the backup that the rehearsal begins from.
  returned: success
  type: str
rehearsal:
  description: The rehearsal; also written to C(rehearsal.json).
  returned: success
  type: dict
  contains:
    rehearsal_id:
      description: Its identifier.
      type: str
    verdict:
      description: V(running), V(passed) or V(failed).
      type: str
    reasons:
      description: Why it did not pass.
      type: list
      elements: str
    key:
      description: Hash of the migrations' and the rollbacks' SHA-256; the rehearsal counts for exactly these.
      type: str
    backup_id:
      description: The backup it began from.
      type: str
    files:
      description: Each migration with its hashes and how long up, down and up again took.
      type: list
      elements: dict
    statements:
      description: Each statement as timed, with the tables it names, their rows here and in the project, and the estimate.
      type: list
      elements: dict
    rehearsed_seconds:
      description: How long all statements took on the restored backup.
      type: float
    estimated_seconds:
      description: What that makes with the project's rows now. An estimate, see the guide on rehearsals.
      type: float
    locks:
      description: The locks on what was there before, with how long they were held.
      type: list
      elements: dict
    rewritten_tables:
      description: The tables that get new storage files, with their size.
      type: list
      elements: dict
    rows:
      description: The rows that the migrations write, by table.
      type: list
      elements: dict
    copied_to:
      description: Where the backup was restored to, and which version of PostgreSQL that is.
      type: str
    lacks:
      description: What the project has and the copy has not, or not in the same version.
      type: list
      elements: str
    equal_but:
      description: All in which the catalog differs after the rollback, accepted, as the rollback itself accepts it.
      type: list
      elements: str
    by_record:
      description: The versions of which the rollback takes back the record alone.
      type: list
      elements: str
    rows_kept:
      description: How many rows more, or less, those leave in which table.
      type: list
      elements: dict
    differences:
      description: The objects that differ after the rollback from before the migrations.
      type: list
      elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.module import make_module, run
from ansible_collections.pgops.supabase.plugins.module_utils.rehearsal.job import (
    choose_backup,
    close_rehearsal,
    open_rehearsal,
    save_rehearsal,
    scratch_programs,
)
from ansible_collections.pgops.supabase.plugins.module_utils.rehearsal.records import (
    abandoned_rehearsals,
    load_rehearsal,
)


def start(module: AnsibleModule) -> dict[str, Any]:
    """Open a rehearsal."""
    params = module.params
    state_dir = Path(params["state_dir"])
    project_dir = state_dir / params["project"]
    target = params["target"] or None
    backup = choose_backup(project_dir, max_age_seconds=params["max_backup_age_seconds"])
    programs = None if target else scratch_programs(state_dir, backup[1], params["pg_bin"])
    abandoned = abandoned_rehearsals(project_dir, params["abandoned_after_seconds"])
    directory, rehearsal = open_rehearsal(
        state_dir, params["project"], backup, target=target, dry_run=module.check_mode
    )
    return {
        "changed": True,
        "rehearsal_dir": str(directory),
        "abandoned": [str(path) for path in abandoned],
        "backup": str(backup[0]),
        "server_programs": programs,
        "rehearsal": rehearsal.as_dict(),
    }


def finish(module: AnsibleModule) -> dict[str, Any]:
    """Close a rehearsal with its verdict and its estimate."""
    params = module.params
    directory = Path(params["rehearsal_dir"])
    rehearsal = close_rehearsal(
        load_rehearsal(directory),
        params["documents"],
        Path(params["supabase_dir"]),
        failed_phase=params["failed_phase"],
        failure=params["failure"],
    )
    if not module.check_mode:
        save_rehearsal(directory, rehearsal)
    return {
        "changed": True,
        "rehearsal_dir": str(directory),
        "backup": rehearsal.backup_path,
        "rehearsal": rehearsal.as_dict(),
    }


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            "state": {"type": "str", "choices": ["started", "finished"], "default": "started"},
            "state_dir": {"type": "path"},
            "project": {"type": "str"},
            "max_backup_age_seconds": {"type": "float"},
            "target": {"type": "str"},
            "pg_bin": {"type": "path"},
            "abandoned_after_seconds": {"type": "float", "default": 3600.0},
            "rehearsal_dir": {"type": "path"},
            "supabase_dir": {"type": "path"},
            "documents": {"type": "dict", "default": {}},
            "failed_phase": {"type": "str"},
            "failure": {"type": "str"},
        },
        libraries=("pglast",),
        required_if=[
            ("state", "started", ("state_dir", "project")),
            ("state", "finished", ("rehearsal_dir", "supabase_dir")),
        ],
    )
    run(module, lambda: start(module) if module.params["state"] == "started" else finish(module))


if __name__ == "__main__":
    main()
