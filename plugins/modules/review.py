#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: review
short_description: Report what is left to do some time after a migration, and what the database says by then
version_added: 0.1.0
description:
  - Holds the tasks of the time after a migration against the evidence. Checks, signatures, types, the watch, jobs and metrics it can
    see; the others it asks of people, and keeps who confirmed them and when.
  - It reports the use of the indexes that the run made, policies that are slow or never matter, and how large tables are by now. It
    reads the catalog and the statistics, no row of the user's tables, and says what cannot be told.
  - What it finds fails nothing.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
attributes:
  check_mode:
    support: full
    details:
      - Nothing is written and nobody's word is kept.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Only a word that was not given before is a change. The report is written anew each time.
options:
  run_dir:
    description: Directory of the run that is reviewed. The report goes to C(review/<period>/) in it.
    type: path
    required: true
  period:
    description:
      - The tasks of this time and of those before it are reported.
      - By default V(day1) in the first week after the run, V(week1) in the first month, V(month1) later.
    type: str
    choices: [day1, week1, month1]
  done:
    description: Names of tasks that are done, by the word of whoever runs this.
    type: list
    elements: str
    default: []
  health:
    description: What the module C(health_info) returned as C(health). Without it metrics, unused and duplicate indexes are not reported.
    type: dict
  validation:
    description: What M(pgops.supabase.validation) returned as C(validation), with the scripts of the project.
    type: dict
  not_seen:
    description: What could not be looked at before, in sentences.
    type: list
    elements: str
    default: []
  schemas:
    description: Schemas whose tables and policies are looked at. By default all that are the user's own.
    type: list
    elements: str
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.scheduled_job_info
"""

EXAMPLES = r"""
- name: Review a run
  pgops.supabase.review:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    run_dir: runs/ready_set_prod/20261123T041647Z-06dd
    done: [logs, documentation]
  register: reviewed

- name: Show what is left
  ansible.builtin.debug:
    msg: "{{ reviewed.review.tasks | selectattr('state', 'in', ['open', 'asked']) | map(attribute='what') }}"
"""

RETURN = r"""
changed:
  description: Whether somebody's word was kept that was not given before.
  returned: always
  type: bool
summary:
  description: What is left to do and to look at, in lines.
  returned: success
  type: list
  elements: str
review_dir:
  description: Directory of C(review.json), C(review.md) and C(review.html).
  returned: success
  type: str
review:
  description: What was found, as in C(review.json).
  returned: success
  type: dict
  contains:
    period:
      description: V(day1), V(week1) or V(month1).
      type: str
    tasks:
      description: Each task with C(name), C(period), C(what), C(state) and C(evidence). V(done) is seen, V(confirmed) is somebody's
        word, V(open) is seen not to be so, V(asked) only people know.
      type: list
      elements: dict
    indexes:
      description: The indexes that the run made, each with C(name), C(table), C(bytes), C(scans) and C(table_scans).
      type: list
      elements: dict
    policies:
      description: What can be seen of policies, each with C(table), C(policy) and what it C(says).
      type: list
      elements: dict
    growth:
      description: The largest tables, each with C(name), C(bytes), C(rows_now_estimate) and C(rows_then).
      type: list
      elements: dict
    statistics_since:
      description: Since when PostgreSQL counts; V(null) is since the server was made.
      type: str
    not_seen:
      description: What cannot be told, in sentences.
      type: list
      elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    SQL_LIBRARIES,
    connection_options,
    make_module,
    operator,
    run,
)
from ansible_collections.pgops.supabase.plugins.module_utils.review.job import Asked, review
from ansible_collections.pgops.supabase.plugins.module_utils.review.sections import summary_lines


def look_back(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    asked = Asked(
        run_dir=Path(params["run_dir"]),
        operator=operator(),
        period=params["period"],
        done=params["done"],
        health=params["health"],
        validation=params["validation"],
        schemas=params["schemas"],
        pretend=module.check_mode,
        unseen=params["not_seen"],
    )
    changed, found, directory = review(connection_options(params), asked)
    return {
        "changed": changed,
        "summary": summary_lines(found, None if module.check_mode else str(directory)),
        "review_dir": str(directory),
        "review": found.as_dict(),
    }


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            "run_dir": {"type": "path", "required": True},
            "period": {"type": "str", "choices": ["day1", "week1", "month1"]},
            "done": {"type": "list", "elements": "str", "default": []},
            "health": {"type": "dict"},
            "validation": {"type": "dict"},
            "not_seen": {"type": "list", "elements": "str", "default": []},
            "schemas": {"type": "list", "elements": "str"},
        },
        libraries=SQL_LIBRARIES,
    )
    run(module, lambda: look_back(module))


if __name__ == "__main__":
    main()
