#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: http_probe
short_description: Ask an application's HTTP endpoints before a migration and after it
version_added: 0.1.0
description:
  - Sends HTTP requests, looks at status and content, and measures how long the answers take. After a migration a probe fails when it
    answers otherwise than it has to, when the 95th percentile of its latency is twice the baseline's or more, and when an endpoint that
    answered before does not any more. Below 100 milliseconds no latency is a failure, because a factor is only noise there.
  - A latency that is too high is measured three times before it fails. While PostgREST reads the schema anew, which follows a migration,
    its probes wait, no longer than O(wait_seconds) all in all. It is known by the codes PGRST000 to PGRST003, PGRST200, PGRST202,
    PGRST204 and PGRST205, and by an answer of 503 with C(Retry-After).
  - What failed in the V(before) stage as well is no fault of the migration and a warning. What cannot be asked at all, because a name
    is not known or a certificate is not valid, is told apart from what fails.
  - No redirect is followed, so no key reaches a host that nobody named; an answer is read up to 1 MiB. Headers, keys, the query of an
    address and the content of answers appear in no result, no document and no message.
attributes:
  check_mode:
    support: full
    details:
      - Only probes that do not write are sent, and no document is written.
  diff_mode:
    support: none
  idempotent:
    support: full
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.probes
  - pgops.supabase.connection
  - pgops.supabase.run
options:
  stage:
    description: Before the migration, or after it.
    type: str
    choices: [before, after]
    default: after
  baseline:
    description: The report of the V(before) stage, as returned in RV(probes) or by the path of C(probes-before.json).
    type: raw
  required:
    description: Whether a probe that fails in the V(before) stage fails the task. Otherwise it is a warning.
    type: bool
    default: true
  wait_seconds:
    description: Seconds to wait, all in all, for an API that is reading the schema anew, or does not answer any more.
    type: float
    default: 30
requirements:
  - jmespath
  - PyJWT, for a token signed with O(jwt_secret)
author:
  - pgops.supabase contributors (@pgops)
"""

EXAMPLES = r"""
- name: Ask before the migration
  pgops.supabase.http_probe:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ project_db_password }}"
    ca_cert: prod-ca-2021.crt
    api_url: https://abcdefghijklmnopqrst.supabase.co
    api_keys:
      anon: "{{ vault_anon_key }}"
      service_role: "{{ vault_service_role_key }}"
    probes:
      - name: profiles
        url: /rest/v1/profiles?limit=5
        role: service_role
        expect: "length(@) == `5`"
    stage: before
    run_dir: "{{ run_dir }}"

- name: See that a change through the API is audited
  pgops.supabase.http_probe:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ project_db_password }}"
    ca_cert: prod-ca-2021.crt
    api_url: https://abcdefghijklmnopqrst.supabase.co
    api_keys:
      service_role: "{{ vault_service_role_key }}"
    probes:
      - name: audit
        method: PATCH
        url: /rest/v1/profiles?id=eq.00000000-0000-4000-8000-000000000001
        role: service_role
        body: {contactName: Probe}
        given: >-
          insert into auth.users (id, email) values ('00000000-0000-4000-8000-000000000001', 'probe@example.com')
          on conflict do nothing
        then: >-
          select exists (select 1 from public.user_audits where "userId" = '00000000-0000-4000-8000-000000000001'
          and action = 'UPDATE' and "createdAt" >= current_setting('pgops.probe_started_at')::timestamptz)
        undo: >-
          delete from auth.users where id = '00000000-0000-4000-8000-000000000001';
          delete from public.user_audits where "userId" = '00000000-0000-4000-8000-000000000001'
    baseline: "{{ run_dir }}/probes-before.json"
    run_dir: "{{ run_dir }}"
"""

RETURN = r"""
probes_file:
  description: Path of the document in O(run_dir). Empty in check mode, and where there is no O(run_dir).
  returned: when no probe failed
  type: str
probes:
  description: What was found, as in C(probes-before.json) and C(probes-after.json); also returned when a probe fails.
  returned: when the probes were sent
  type: dict
  contains:
    stage:
      description: The stage, as given.
      type: str
    started_at:
      description: When it began, UTC.
      type: str
    duration_seconds:
      description: How long it took.
      type: float
    verdict:
      description: V(FAIL), V(SKIP) when something could not be asked or there was nothing to ask, V(WARNING) or V(PASS).
      type: str
      sample: PASS
    passed:
      description: Number of probes that passed.
      type: int
    failed:
      description: Number of probes that failed.
      type: int
    warnings:
      description: Number of probes that failed before as well, or left something behind.
      type: int
    skipped:
      description: Number of probes that could not be asked.
      type: int
    probes:
      description: Each probe.
      type: list
      elements: dict
      contains:
        name:
          description: Its name.
          type: str
        method:
          description: Its method.
          type: str
        url:
          description: Its address without the query.
          type: str
        writes:
          description: Whether it writes.
          type: bool
        verdict:
          description: V(PASS), V(FAIL), V(WARNING) or V(SKIP).
          type: str
        message:
          description: What is wrong.
          type: str
        reached:
          description: V(answered), V(no_answer), or V(not_asked) where it is no matter of the endpoint.
          type: str
        status:
          description: The last answer's status.
          type: int
        samples:
          description: Number of answers that were measured.
          type: int
        p50_seconds:
          description: The median latency.
          type: float
        p95_seconds:
          description: The latency that 95 of 100 answers do not exceed.
          type: float
        max_seconds:
          description: The longest latency.
          type: float
        baseline_p95_seconds:
          description: The same before the migration.
          type: float
        limit_seconds:
          description: What the 95th percentile has to be below.
          type: float
        notes:
          description: What somebody should know, such as that a write could not be undone.
          type: list
          elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    BASELINE_ARGUMENTS,
    CONNECTION_ARGUMENTS,
    RUN_ARGUMENTS,
    connection_options,
    make_module,
    optional_path,
    run,
)
from ansible_collections.pgops.supabase.plugins.module_utils.probes.arguments import PROBES_ARGUMENTS, api_of
from ansible_collections.pgops.supabase.plugins.module_utils.probes.job import line_of, probe


def probes(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    run_dir = None if module.check_mode else optional_path(params["run_dir"])
    report = probe(
        connection_options(params),
        params["probes"],
        api_of(params),
        stage=params["stage"],
        reads_only=module.check_mode,
        baseline=params["baseline"],
        required=params["required"],
        wait_seconds=params["wait_seconds"],
        run_dir=run_dir,
    )
    for result in report.probes:
        if result.verdict != "PASS":
            module.warn(f"Probe:{line_of(result)}")
    return {
        "changed": False,
        "msg": f"{report.passed} of {number(len(report.probes), 'probe')} answered as they should",
        "probes": report.as_dict(),
        "probes_file": str(run_dir / f"probes-{report.stage}.json") if run_dir else None,
    }


def main() -> None:
    """Run the module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **RUN_ARGUMENTS,
            **BASELINE_ARGUMENTS,
            **PROBES_ARGUMENTS,
            "stage": {"type": "str", "choices": ["before", "after"], "default": "after"},
            "required": {"type": "bool", "default": True},
            "wait_seconds": {"type": "float", "default": 30.0},
        },
        libraries=("psycopg2", "jmespath"),
    )
    run(module, lambda: probes(module))


if __name__ == "__main__":
    main()
