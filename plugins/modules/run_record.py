#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: run_record
short_description: Open a run's directory, and close it with a verdict and a report
version_added: 0.1.0
description:
  - A run has one directory, C(<state_dir>/<project>/<run_id>), that only its owner can enter. Each phase leaves a document in
    it; the reports C(report.md) and C(report.html) are made from them, with the same facts.
  - Needs no database. C(report.html) needs Jinja2, and pygal where there are probes to be drawn.
extends_documentation_fragment:
  - pgops.supabase.attributes
attributes:
  check_mode:
    support: full
    details:
      - Returns what it would have done; no directory and no file is written.
  diff_mode:
    support: none
  idempotent:
    support: none
options:
  state:
    description:
      - V(started) opens a new run, V(finished) closes the one in O(run_dir). V(amended) adds O(follow_ups) to one that is closed, and
        to its report where it was published.
    type: str
    choices: [started, finished, amended]
    default: started
  state_dir:
    description: Directory of all projects' runs. Required to start.
    type: path
  project:
    description: The project's name in the inventory. Required to start, and to finish in check mode.
    type: str
  operation:
    description: What the run does.
    type: str
    choices: [migrate, rollback, adopt, restore, backup]
    default: migrate
  reason:
    description: Why, when it is a rollback or a restore.
    type: str
  run_dir:
    description: The run to finish, as returned when it was started.
    type: path
  failed_phase:
    description: The phase in which the run failed. Leave it out when it did not.
    type: str
  failure:
    description: The failure as it was shown.
    type: str
  error:
    description:
      - The failure as the module returned it in RV(ignore:error). Its C(outcome) decides what the report says of the database.
    type: dict
  follow_ups:
    description:
      - What came after the migration and failed, by its name (V(types) or V(publish)), with the failure as it was shown. It needs
        attention; the verdict is what it is without it.
    type: dict
    default: {}
  documents:
    description:
      - Documents that are not in O(run_dir), by their names there (V(preflight), V(plan), V(migration) ...). They are written
        there. In check mode nothing is on disk, so all of them have to be given.
    type: dict
    default: {}
  details:
    description:
      - Of a dry run, whether RV(summary) shows every file, object and lock of the receipt, or only its figures and what is wrong.
      - The roles give C(ansible_diff_mode).
    type: bool
    default: true
author:
  - pgops.supabase contributors (@pgops)
"""

EXAMPLES = r"""
- name: Open a run
  pgops.supabase.run_record:
    state_dir: runs
    project: ready_set_prod
  register: opened

- name: Close it
  pgops.supabase.run_record:
    state: finished
    run_dir: "{{ opened.run_dir }}"
  register: closed

- name: Show the report
  ansible.builtin.debug:
    msg: "{{ closed.summary | join('\n') }}"
"""

RETURN = r"""
changed:
  description: Whether the run was opened or closed.
  returned: always
  type: bool
run:
  description: The run's identity and, when it is finished, its verdict.
  returned: success, and where the record of a run that has ended could not be written
  type: dict
run_id:
  description: Its identifier.
  returned: success
  type: str
run_dir:
  description: Its directory.
  returned: success
  type: str
document_files:
  description:
    - The files of O(documents), by the same names, so that the next tasks are given paths. Empty in check mode, where nothing is
      on disk.
  returned: when O(state=started)
  type: dict
headline:
  description: How the run ended, in one line.
  returned: when O(state=finished) or O(state=amended), also where the record could not be written
  type: str
summary:
  description: The report as lines of text.
  returned: when O(state=finished) or O(state=amended)
  type: list
  elements: str
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import InputError, Outcome, State
from ansible_collections.pgops.supabase.plugins.module_utils.module import operator, run
from ansible_collections.pgops.supabase.plugins.module_utils.report.job import headline, markdown, summary_lines
from ansible_collections.pgops.supabase.plugins.module_utils.report.page import page
from ansible_collections.pgops.supabase.plugins.module_utils.report.section import Documents
from ansible_collections.pgops.supabase.plugins.module_utils.runs.documents import RunRecord
from ansible_collections.pgops.supabase.plugins.module_utils.runs.records import (
    close_run,
    load_documents,
    load_run,
    new_run,
    save_documents,
    save_page,
    save_run,
    verdict_of,
)

_COMMITTED = ("migrated", "rolled_back", "restored", "adopted")
_UNCHANGED = ("not_applied", "backed_up", "nothing_to_do", "dry_run")


def start(module: AnsibleModule) -> dict[str, Any]:
    """Open a run."""
    params = module.params
    record = new_run(params["project"], params["operation"], operator(), params["reason"])
    directory = Path(params["state_dir"]).absolute() / params["project"] / record.run_id
    files = {}
    if not module.check_mode:
        save_run(directory, record)
        files = save_documents(directory, params["documents"])
    return {
        "changed": True,
        "msg": record.run_id,
        "run": record.as_dict(),
        "run_id": record.run_id,
        "run_dir": str(directory),
        "document_files": files,
    }


def finish(module: AnsibleModule) -> dict[str, Any]:
    """Close a run with its verdict and its report."""
    params = module.params
    if module.check_mode:
        directory = None
        record = new_run(params["project"] or "project", params["operation"], operator(), params["reason"])
        documents = dict(params["documents"])
    else:
        directory = Path(params["run_dir"])
        record = load_run(directory)
        documents = {**load_documents(directory), **params["documents"]}
    failed = params["failed_phase"] is not None
    error = params["error"]
    outcome = (error or {}).get("outcome", "unchanged")
    verdict = verdict_of(documents, record.operation, failed=failed, outcome=outcome)
    record.follow_ups = params["follow_ups"] or None
    close_run(record, verdict, failed_phase=params["failed_phase"], failure=params["failure"], error=error)
    record.headline = headline(record, documents)
    if directory is not None:
        with _after(record):
            save_documents(directory, params["documents"])
            save_run(directory, record, markdown(record, documents))
            _save_page(module, directory, record, documents)
    return {
        "changed": directory is not None,
        "run": record.as_dict(),
        "run_id": record.run_id,
        "run_dir": params["run_dir"],
        "headline": record.headline,
        "summary": summary_lines(record, documents, params["run_dir"], full=params["details"]),
    }


def amend(module: AnsibleModule) -> dict[str, Any]:
    """Add to a closed run what followed. The report is written again only where nothing failed, because it may be published later."""
    params = module.params
    directory = Path(params["run_dir"])
    record, documents = load_run(directory), load_documents(directory)
    # The document of the types is there once they were generated; publishing was tried just now.
    mended = {"publish", *documents.keys() & {"types"}}
    others = {name: why for name, why in (record.follow_ups or {}).items() if name not in mended}
    record.follow_ups = {**others, **params["follow_ups"]} or None
    record.headline = headline(record, documents)
    if not module.check_mode:
        failed = "publish" in params["follow_ups"]
        with _after(record):
            save_run(directory, record, None if failed else markdown(record, documents))
            if not failed:
                _save_page(module, directory, record, documents)
    return {
        "changed": not module.check_mode,
        "run": record.as_dict(),
        "run_id": record.run_id,
        "run_dir": params["run_dir"],
        "headline": record.headline,
        "summary": summary_lines(record, documents, params["run_dir"], full=params["details"]),
    }


@contextmanager
def _after(record: RunRecord) -> Iterator[None]:
    """Say how the run ended where its record cannot be written: by then it is not so that nothing was changed."""
    try:
        yield
    except InputError as error:
        outcome: Outcome = "unknown"
        if record.verdict in _COMMITTED:
            outcome = "committed"
        elif record.verdict in _UNCHANGED:
            outcome = "unchanged"
        said = f"{record.headline}; only the record of the run is not whole"
        # The team is told all the same, from here: nothing else has it.
        told = {**record.as_dict(), "headline": said}
        raise InputError(
            error.what,
            where=error.where,
            state=State(said, outcome),
            details={"only_here": True, "result": {"run": told, "headline": said}},
            next_step=f"{error.next_step} What is applied: ansible-playbook pgops.supabase.status -l {record.project}",
        ) from error


def _save_page(module: AnsibleModule, directory: Path, record: RunRecord, documents: Documents) -> None:
    """Write report.html; report.md has the same facts, so that a run is not lost to a library that is missing."""
    try:
        save_page(directory, page(record, documents, directory))
    except ImportError as error:
        module.warn(
            f"report.html was not written: {error}. Install what requirements.txt names; report.md has the same facts."
        )


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["started", "finished", "amended"], "default": "started"},
            "state_dir": {"type": "path"},
            "project": {"type": "str"},
            "operation": {
                "type": "str",
                "choices": ["migrate", "rollback", "adopt", "restore", "backup"],
                "default": "migrate",
            },
            "reason": {"type": "str"},
            "run_dir": {"type": "path"},
            "failed_phase": {"type": "str"},
            "failure": {"type": "str"},
            "error": {"type": "dict"},
            "follow_ups": {"type": "dict", "default": {}},
            "documents": {"type": "dict", "default": {}},
            "details": {"type": "bool", "default": True},
        },
        required_if=[
            ("state", "started", ("state_dir", "project")),
            ("state", "finished", ("run_dir",)),
            ("state", "amended", ("run_dir",)),
        ],
        supports_check_mode=True,
    )
    jobs = {"started": start, "finished": finish, "amended": amend}
    run(module, lambda: jobs[module.params["state"]](module))


if __name__ == "__main__":
    main()
