#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance
short_description: Stop the application's writes and let them on again
version_added: 0.1.0
description:
  - Stops what the application writes, proves it, and records in C(pgops.maintenance) who did. While it is so the modules of this
    collection write all the same.
  - >-
    Strategy V(database): new transactions are read-only by default (C(ALTER DATABASE ... SET default_transaction_read_only)), the
    API's login C(authenticator) may not connect, and the sessions of others on this database are ended. Writes as C(anon),
    C(authenticated) and C(service_role) that must fail prove it, and it is watched whether somebody writes all the same. Otherwise it
    fails, and the writes are on again.
  - A run lets be what a person has stopped. What a run has stopped that is over, because it was killed, the next one takes over
    or lets on again.
  - >-
    What it cannot stop it says: the sessions of superusers, and, where the API stays open, programs that begin with C(READ WRITE).
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.run
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description: V(on) stops the application's writes, V(off) lets them on again.
    type: str
    choices: ["on", "off"]
    required: true
  only_left_behind:
    description: With O(state=off), let on again only what a run has stopped that is over.
    type: bool
    default: false
  how:
    description: The strategy and its settings.
    type: dict
    default: {}
    suboptions:
      strategy:
        description:
          - V(database) is described above. V(sql) runs the statements that set the application's own flag, V(http) sends a request to
            it, V(tasks) only keeps the record, for tasks of one's own.
        type: str
        choices: [database, sql, http, tasks]
      drain_seconds:
        description: How long an open transaction of the application may go on before its session is ended.
        type: float
        default: 5.0
      keep_api_reads:
        description:
          - With V(database), leave the API's login open, so that reads go on. PostgREST begins each writing request with C(READ WRITE),
            which goes before the database's default, so its writes are then B(not) stopped.
        type: bool
        default: false
      authenticator_password:
        description: Password of C(authenticator), to try the login of the API as well.
        type: str
      sql_on:
        description: Statements that stop the application's writes, run in one transaction.
        type: str
      sql_off:
        description: Statements that let them on again.
        type: str
      sql_proof:
        description: Query of one row with one boolean, V(true) while the writes are stopped.
        type: str
      http_on:
        description: Request that stops the application's writes.
        type: dict
        suboptions: &request
          url:
            description: The address.
            type: str
            required: true
          method:
            description: The method.
            type: str
            default: POST
          headers:
            description: Headers, which may hold secrets.
            type: dict
            default: {}
          body:
            description: The body; a dictionary or list is sent as JSON.
            type: raw
          status:
            description: The answers that mean that it was done. Redirects are not followed.
            type: list
            elements: int
            default: [200, 201, 202, 204]
          timeout_seconds:
            description: How long the answer may take.
            type: float
            default: 10.0
      http_off:
        description: Request that lets them on again.
        type: dict
        suboptions: *request
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.run_lease
"""

EXAMPLES = r"""
- name: Stop the application's writes
  pgops.supabase.maintenance:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    state: "on"
    how:
      strategy: database

- name: Let them on again
  pgops.supabase.maintenance:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    state: "off"
"""

RETURN = r"""
changed:
  description: Whether the writes were stopped, taken over or let on again.
  returned: always
  type: bool
maintenance:
  description: What is so now, and how it was proven. The same is in C(maintenance.json).
  returned: success
  type: dict
  contains:
    "on":
      description: Whether the writes are stopped.
      type: bool
    ours:
      description: Whether this run, or a person where there is no run, has stopped them.
      type: bool
    strategy:
      description: The strategy that is on, or was.
      type: str
    run_id:
      description: The run that has stopped them; V(null) for a person.
      type: str
    operator:
      description: Who started that.
      type: str
    host:
      description: On which machine.
      type: str
    since:
      description: Since when, by the server's clock, UTC.
      type: str
    until:
      description: Until when; V(null) while they are stopped.
      type: str
    seconds:
      description: How long they were stopped.
      type: float
    proofs:
      description: What was tried, each with C(who), C(tried), C(expected), C(found) and C(passed).
      type: list
      elements: dict
    sessions_ended:
      description: Sessions that were ended when the writes were stopped.
      type: int
    sessions_renewed:
      description: Sessions that began meanwhile, were read-only, and were ended when the writes were let on again.
      type: int
    warnings:
      description: What could not be stopped or tried, in sentences.
      type: list
      elements: str
"""

import socket
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.base.process import ansible_process
from ansible_collections.pgops.supabase.plugins.module_utils.base.words import number
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.application import HttpRequest
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.documents import MaintenanceReport
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.job import How, turn_off, turn_on
from ansible_collections.pgops.supabase.plugins.module_utils.maintenance.record import Claim
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    RUN_ARGUMENTS,
    connection_options,
    make_module,
    operator,
    optional_path,
    run,
)

REQUEST_ARGUMENTS: dict[str, Any] = {
    "type": "dict",
    "options": {
        "url": {"type": "str", "required": True, "no_log": True},
        "method": {"type": "str", "default": "POST"},
        "headers": {"type": "dict", "default": {}, "no_log": True},
        "body": {"type": "raw", "no_log": True},
        "status": {"type": "list", "elements": "int", "default": [200, 201, 202, 204]},
        "timeout_seconds": {"type": "float", "default": 10.0},
    },
}
HOW_ARGUMENTS: dict[str, Any] = {
    "strategy": {"type": "str", "choices": ["database", "sql", "http", "tasks"]},
    "drain_seconds": {"type": "float", "default": 5.0},
    "keep_api_reads": {"type": "bool", "default": False},
    "authenticator_password": {"type": "str", "no_log": True},
    "sql_on": {"type": "str"},
    "sql_off": {"type": "str"},
    "sql_proof": {"type": "str"},
    "http_on": REQUEST_ARGUMENTS,
    "http_off": REQUEST_ARGUMENTS,
}


def request_of(given: dict[str, Any] | None) -> HttpRequest | None:
    """A request as the engine takes it."""
    return None if given is None else HttpRequest(**{**given, "status": tuple(given["status"])})


def said_of(report: MaintenanceReport, state: str, changed: bool, *, pretended: bool) -> str:
    """What was done, in a few words; nothing where there was nothing to do."""
    if pretended:
        # Before they are let on, they are looked at like this in a real run too.
        return f"they would be stopped ({report.strategy})" if changed and state == "on" else ""
    if state == "off":
        return f"they were stopped for {report.seconds or 0:.1f} s" if changed else ""
    passed = sum(proof.passed is True for proof in report.proofs)
    who = "" if report.ours else f"; by {report.operator} since {report.since}, and they stay so"
    return f"{report.strategy}: {number(passed, 'proof')}, {number(report.sessions_ended, 'session')} ended{who}"


def have_state(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params, given = module.params, module.params["how"]
    how = How()
    if given:
        how = How(**{**given, "http_on": request_of(given["http_on"]), "http_off": request_of(given["http_off"])})
    options = connection_options(params)
    claim = Claim(params["run_id"] or None, operator(), socket.gethostname(), ansible_process())
    run_dir = None if module.check_mode else optional_path(params["run_dir"])
    if params["state"] == "on":
        changed, report = turn_on(options, how, claim, pretend=module.check_mode, run_dir=run_dir)
    else:
        left = params["only_left_behind"]
        changed, report = turn_off(
            options, how, claim, only_left_behind=left, pretend=module.check_mode, run_dir=run_dir
        )
    for warning in report.warnings:
        module.warn(warning)
    result = {
        "changed": changed,
        "msg": said_of(report, params["state"], changed, pretended=module.check_mode),
        "maintenance": report.as_dict(),
    }
    if module._diff:
        states = ("the application's writes are on\n", "the application's writes are stopped\n")
        after = params["state"] == "on" if changed else report.on
        result["diff"] = {"before": states[after != changed], "after": states[after]}
    return result


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **RUN_ARGUMENTS,
            "state": {"type": "str", "choices": ["on", "off"], "required": True},
            "only_left_behind": {"type": "bool", "default": False},
            "how": {"type": "dict", "default": {}, "options": HOW_ARGUMENTS},
        }
    )
    run(module, lambda: have_state(module))


if __name__ == "__main__":
    main()
