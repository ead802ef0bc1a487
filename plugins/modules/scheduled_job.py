#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: scheduled_job
short_description: Have SQL run at a schedule, by pg_cron or by a crontab
version_added: 0.1.0
description:
  - Schedules jobs with C(pg_cron) where the database has it. Elsewhere it keeps a record of them, and the role
    P(pgops.supabase.scheduled_job#role) writes the entries of a crontab, which run this module with O(now).
  - Before a job is scheduled or gets other SQL, that is executed in a transaction that is rolled back. Where it fails, nothing is
    scheduled. What it does beyond the database, as by C(dblink) or the extension C(http), and numbers that it takes from sequences
    are not taken back, in check mode neither.
  - All jobs of a task are scheduled in one transaction, with the record of who did it in which run. M(pgops.supabase.rollback)
    takes back what the run scheduled whose migrations it takes back.
  - The SQL is never shown.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.timeouts
  - pgops.supabase.run
attributes:
  check_mode:
    support: full
    details:
      - The SQL is tried all the same, and rolled back as ever.
  diff_mode:
    support: full
    details:
      - Shows schedules, and of the SQL its hash.
  idempotent:
    support: full
options:
  jobs:
    description: The jobs that are to be there, or not. Others stay as they are.
    type: list
    elements: dict
    suboptions:
      name:
        description: Its name; a job of pg_cron that has it and belongs to the role is the same job.
        type: str
        required: true
      schedule:
        description: When it runs, as pg_cron or the crontab reads it, such as V(0 3 * * *). Needed unless O(jobs[].state=absent).
        type: str
      command:
        description: Its SQL. Needed unless O(jobs[].state=absent).
        type: str
      state:
        description: Whether it is scheduled.
        type: str
        choices: [present, absent]
        default: present
  now:
    description: Run this one job at once, as its timer does, and record how it ended.
    type: str
  timer_host:
    description: The machine whose crontab has the entries where there is no pg_cron. By default that where the module runs.
    type: str
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.scheduled_job_info
"""

EXAMPLES = r"""
- name: Have old errors be cleaned up every night
  pgops.supabase.scheduled_job:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    jobs:
      - name: clean up old upload errors
        schedule: 0 3 * * *
        command: select public.cleanup_old_upload_errors(90)
"""

RETURN = r"""
changed:
  description: Whether a job was scheduled, changed, unscheduled or run, or would have been in check mode.
  returned: always
  type: bool
jobs:
  description: The jobs of O(jobs), in their order; also written to C(scheduled-jobs.json) in O(run_dir).
  returned: success, with O(jobs)
  type: list
  elements: dict
  contains:
    name:
      description: The job.
      type: str
    change:
      description: V(scheduled), V(changed), V(unscheduled), or empty where it was so already.
      type: str
    through:
      description: V(pg_cron), or V(timer) for a crontab.
      type: str
    schedule:
      description: When it runs; V(null) for one that does not.
      type: str
    host:
      description: The machine whose crontab has it; V(null) with pg_cron.
      type: str
    timer:
      description: What the crontab has to be brought to, V(present), V(absent), or empty where it is not concerned.
      type: str
    note:
      description: What is to be known, such as that the SQL could not be tried in a transaction.
      type: str
run:
  description: How the job ran, with C(status), C(started_at) and C(duration_seconds).
  returned: success, with O(now)
  type: dict
"""

import dataclasses
import socket
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.base.files import write_json
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    RUN_ARGUMENTS,
    SQL_LIBRARIES,
    TIMEOUT_ARGUMENTS,
    connection_options,
    make_module,
    operator,
    run,
    session_settings,
)
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.documents import Author, JobChange, WantedJob
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.job import bring, run_now

JOB_ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "schedule": {"type": "str"},
    # It may hold a secret, and is nobody's to read in a log.
    "command": {"type": "str", "no_log": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def said_of(changes: list[JobChange]) -> str:
    """What was done, in a few words."""
    done = [f"{change.name}: {change.change} ({change.schedule or 'gone'})" for change in changes if change.change]
    if not done:
        return f"{len(changes)} jobs are as declared"
    how = "pg_cron" if changes[0].through == "pg_cron" else "a crontab"
    return f"by {how}: " + "; ".join(done)


def have_jobs(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    options, settings = connection_options(params), session_settings(params)
    if params["now"]:
        if module.check_mode:
            return {"changed": True, "msg": f"job {params['now']} would run"}
        ran = run_now(options, params["now"], settings)
        return {
            "changed": True,
            "msg": f"job {ran.name} ran, {ran.duration_seconds:.1f} s",
            "run": ran.as_dict(),
        }
    wanted = [
        WantedJob(name=job["name"], schedule=job["schedule"], command=job["command"], absent=job["state"] == "absent")
        for job in params["jobs"]
    ]
    author = Author(
        run_id=params["run_id"], operator=operator(), timer_host=params["timer_host"] or socket.gethostname()
    )
    changes, shown = bring(options, wanted, author, pretend=module.check_mode, settings=settings)
    for change in changes:
        if change.note:
            module.warn(f"job {change.name}: {change.note}")
    result: dict[str, Any] = {
        "changed": bool(shown),
        "msg": said_of(changes),
        "jobs": [dataclasses.asdict(change) for change in changes],
    }
    if params["run_dir"] and not module.check_mode:
        document = {"document": "scheduled_jobs", "document_version": 1, "jobs": result["jobs"]}
        write_json(Path(params["run_dir"]) / "scheduled-jobs.json", document)
    if module._diff:
        lines = [[f"{name}: {text[side]}\n" for name, text in shown.items() if text[side]] for side in (0, 1)]
        result["diff"] = {"before": "".join(lines[0]), "after": "".join(lines[1])}
    return result


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **TIMEOUT_ARGUMENTS,
            **RUN_ARGUMENTS,
            "jobs": {"type": "list", "elements": "dict", "options": JOB_ARGUMENTS},
            "now": {"type": "str"},
            "timer_host": {"type": "str"},
        },
        libraries=SQL_LIBRARIES,
        required_one_of=[("jobs", "now")],
        mutually_exclusive=[("jobs", "now")],
    )
    run(module, lambda: have_jobs(module))


if __name__ == "__main__":
    main()
