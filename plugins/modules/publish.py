#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: publish
short_description: Commit and push what a run made, and nothing else
version_added: 0.1.0
description:
  - Puts the run's migrations and rollbacks, the types that were generated, more paths on request, and the run's evidence into one commit,
    with a message made from the run, and pushes it to the branch of the same name.
  - Only what is named is committed. What is staged otherwise stays staged; hooks and commit signing are the user's and run. Nothing is
    forced, rewritten or merged. The remote is asked afterwards whether it has the commit.
  - It refuses on a detached HEAD, on another branch than O(branch), in the middle of a merge, where nobody is named as the author, where
    the remote has commits that are not here (they are fetched, not merged), and where commits that no run made are not pushed yet.
  - The evidence is C(report.md), C(report.html), C(plan.json), C(migration.json) and C(rollback.json); never backups, exports or counts.
  - Needs no database. No login of a remote's URL is in what it says.
extends_documentation_fragment:
  - pgops.supabase.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing is committed or pushed; the remote is asked whether it would take a push. Its own hooks are not asked by that.
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - Where there is nothing to commit, a commit of a run that the remote has not got yet is pushed.
options:
  repository:
    description: The work tree, or any folder in it.
    type: path
    required: true
  branch:
    description: The branch that has to be checked out. It is pushed to the remote's branch of the same name, which has to be there.
    type: str
    required: true
  remote:
    description: Name of the remote.
    type: str
    default: origin
  run_dir:
    description: The run to publish, as returned by M(pgops.supabase.run_record). In check mode it may be left out.
    type: path
  supabase_dir:
    description: The project's folder in Supabase's layout. When given, the run's migrations and their rollbacks are published.
    type: path
  paths:
    description: More files and folders of the work tree, relative to O(repository) or absolute. Those that are not there are left out.
    type: list
    elements: str
    default: []
  evidence_dir:
    description: Folder of the work tree in which a folder with the run's evidence is put. Without it no evidence is published.
    type: path
  template:
    description:
      - Jinja2 template of the commit's message. It has C(action), C(run) (C(run_id), C(project), C(operation), C(verdict), C(headline),
        C(operator), C(started_at), C(reason)), C(migrations), C(versions), C(rows_before), C(rows_after) and C(checks).
      - The trailer C(Pgops-Run) with the run's id is always added; by it the commits of runs are known.
    type: str
  timeout_seconds:
    description: How long one command of git's may take, the hooks that it runs included.
    type: float
    default: 120.0
requirements:
  - git
  - jinja2
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.run_record
  - module: pgops.supabase.typescript_types
"""

EXAMPLES = r"""
- name: See, before the run, that its end can be published
  pgops.supabase.publish:
    repository: "{{ project_supabase_dir }}"
    branch: main
  check_mode: true

- name: Publish it
  pgops.supabase.publish:
    repository: "{{ project_supabase_dir }}"
    branch: main
    run_dir: "{{ report_run_dir }}"
    supabase_dir: "{{ project_supabase_dir }}"
    evidence_dir: "{{ project_supabase_dir }}/evidence"
"""

RETURN = r"""
changed:
  description: Whether anything was, or would be, committed or pushed.
  returned: always
  type: bool
publication:
  description: What was published, as in C(publish.json).
  returned: when O(run_dir) is given
  type: dict
  contains:
    commit:
      description: The commit.
      type: str
    subject:
      description: The first line of its message.
      type: str
    branch:
      description: The branch.
      type: str
    remote:
      description: The remote's name.
      type: str
    files:
      description: The files of the commit, relative to the top of the work tree.
      type: list
      elements: str
    pushed:
      description: Whether the remote has the commit.
      type: bool
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError
from ansible_collections.pgops.supabase.plugins.module_utils.module import make_module, optional_path, run
from ansible_collections.pgops.supabase.plugins.module_utils.publish.job import Content, Place, check_place, publish
from ansible_collections.pgops.supabase.plugins.module_utils.publish.message import (
    DEFAULT_TEMPLATE,
    compiled,
    message_of,
)
from ansible_collections.pgops.supabase.plugins.module_utils.publish.paths import files_of
from ansible_collections.pgops.supabase.plugins.module_utils.runs.records import load_documents, load_run


def publication(module: AnsibleModule) -> dict[str, Any]:
    """Publish as the parameters say."""
    params = module.params
    repository = Path(params["repository"]).absolute()
    place = Place(
        folder=repository, branch=params["branch"], remote=params["remote"], seconds=params["timeout_seconds"]
    )
    template = params["template"] or DEFAULT_TEMPLATE
    compiled(template)
    if module.check_mode:
        check_place(place)
    if params["run_dir"] is None:
        return {"changed": False}
    run_dir = Path(params["run_dir"])
    record, documents = load_run(run_dir), load_documents(run_dir)
    if record.verdict == "running":
        raise InputError(
            f"The run {record.run_id} has not ended",
            where=str(run_dir),
            next_step="Close it first: run_record, state: finished.",
        )
    content = Content(
        run_id=record.run_id,
        run_dir=run_dir,
        paths=files_of(
            documents, optional_path(params["supabase_dir"]), [repository / path for path in params["paths"]]
        ),
        evidence=optional_path(params["evidence_dir"]),
        message=message_of(template, record.as_dict(), documents),
    )
    done, changed = publish(place, content, write=not module.check_mode)
    lines = [*([content.message] if done.files else []), *(f"{name}\n" for name in done.files)]
    diff = {"diff": {"prepared": "".join(lines)}} if module._diff else {}
    return {"changed": changed, "publication": done.as_dict(), **diff}


def main() -> None:
    """Run the module."""
    module = make_module(
        {
            "repository": {"type": "path", "required": True},
            "branch": {"type": "str", "required": True},
            "remote": {"type": "str", "default": "origin"},
            "run_dir": {"type": "path"},
            "supabase_dir": {"type": "path"},
            "paths": {"type": "list", "elements": "str", "default": []},
            "evidence_dir": {"type": "path"},
            "template": {"type": "str"},
            "timeout_seconds": {"type": "float", "default": 120.0},
        },
        libraries=("jinja2",),
    )
    if module.params["run_dir"] is None and not module.check_mode:
        module.fail_json(msg="run_dir is required outside check mode.")
    run(module, lambda: publication(module))


if __name__ == "__main__":
    main()
