#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: scheduled_job_info
short_description: Show the jobs that runs have scheduled, and how they ran
version_added: 0.1.0
description:
  - Reads the record of M(pgops.supabase.scheduled_job), what C(pg_cron) has of its jobs, and how many of others there are.
  - It shows neither the SQL nor what the server answered, for either may hold rows.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.scheduled_job
"""

EXAMPLES = r"""
- name: Look at the jobs
  pgops.supabase.scheduled_job_info:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
  register: found

- name: Show those that failed
  ansible.builtin.debug:
    msg: "{{ found.scheduled.jobs | selectattr('failed') | map(attribute='name') | list }}"
"""

RETURN = r"""
changed:
  description: Always V(false).
  returned: always
  type: bool
scheduled:
  description: What is scheduled.
  returned: success
  type: dict
  contains:
    jobs:
      description: Each job with C(name), C(through), C(schedule), C(active), C(run_id), C(operator), C(scheduled_at) and C(host); how
        often it C(runs) and C(failed), of what is on record, C(last_run_at) and C(last_status).
      type: list
      elements: dict
    others:
      description: How many other jobs of pg_cron there are, which no run has scheduled; V(null) where the role may not see them.
      type: int
    notes:
      description: What is on record, and not there any more or not shown to the role.
      type: list
      elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    connection_options,
    make_module,
    run,
)
from ansible_collections.pgops.supabase.plugins.module_utils.schedule.job import look


def look_at_jobs(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    return {"changed": False, "scheduled": look(connection_options(module.params)).as_dict()}


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(CONNECTION_ARGUMENTS)
    run(module, lambda: look_at_jobs(module))


if __name__ == "__main__":
    main()
