#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: run_lease
short_description: Take, renew or release the lease that lets one run at a time work on a project
version_added: 0.1.0
description:
  - The lease is one row in the database, C(pgops.lease), with an owner and an expiry by the server's clock. It lasts from task
    to task, when no session is open, and it is the same for every machine that works on the project.
  - Taking it is one statement, so that of any number of runs exactly one gets it.
  - The table is closed to the roles of Supabase's API.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
attributes:
  check_mode:
    support: full
    details:
      - Says what would be done and fails where it would fail; nothing is written.
      - Renewing a lease that nobody holds is no failure, because in check mode nothing took it before.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Renewing moves the expiry and nothing else, and is not reported as a change.
options:
  state:
    description:
      - V(held) takes the lease when it is free or has expired, and renews it when it is the owner's already.
      - V(renewed) renews it and fails when it is not the owner's any more. It is for the later phases of a run.
      - V(released) gives it back. To remove the lease of a run that is surely dead, give that run's O(owner).
    type: str
    choices: [held, renewed, released]
    default: held
  owner:
    description: Who holds the lease. By default O(run_id), which is the same in every phase of a run.
    type: str
  run_id:
    description: Identifier of the run, for those who find the lease taken. At least one of O(owner) and O(run_id) is needed.
    type: str
  expires_seconds:
    description:
      - After how many seconds without renewal others may take the lease over. Modules that are given a C(run_id) renew it every
        60 seconds while they work. On the machine of a run whose Ansible process is gone others need not wait.
    type: int
    default: 600
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.preflight_gates
"""

EXAMPLES = r"""
- name: Keep other runs away
  pgops.supabase.run_lease:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    run_id: 20251014T220000Z-1a2b3c

- name: Let them in again
  pgops.supabase.run_lease:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    run_id: 20251014T220000Z-1a2b3c
    state: released
"""

RETURN = r"""
changed:
  description: Whether the lease changed hands.
  returned: always
  type: bool
action:
  description: What was done, or would be done in check mode. V(none) when there was nothing to release.
  returned: success
  type: str
  sample: acquired
lease:
  description: The lease as it is now; V(null) when nobody holds it. On failure, the one that is in the way.
  returned: success, and when another run holds the lease
  type: dict
  contains:
    owner:
      description: Who holds it.
      type: str
    run_id:
      description: The run.
      type: str
    operator:
      description: Who started the run.
      type: str
    host:
      description: The machine it runs on.
      type: str
    acquired_at:
      description: Since when, UTC.
      type: str
    renewed_at:
      description: When it was last renewed, UTC.
      type: str
    expires_at:
      description: Until when, UTC.
      type: str
    expired:
      description: Whether that is over, so that anybody may take it.
      type: bool
    taken_over_from:
      description: The expired lease, or that of a dead run, that was there when this one was taken; V(null) when there was none.
      type: dict
    process:
      description: The process of Ansible that holds it, as its machine knows it; V(null) where that is not known.
      type: str
previous:
  description: The lease that was taken over or released, V(null) when there was none.
  returned: success
  type: dict
"""

import socket
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.base.process import ansible_process
from ansible_collections.pgops.supabase.plugins.module_utils.ledger.lease import (
    Claim,
    LeaseResult,
    release_lease,
    renew_lease,
    take_lease,
)
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    connection_options,
    make_module,
    operator,
    run,
)


def have_state(module: AnsibleModule) -> LeaseResult:
    """The module's one call into the engine."""
    params = module.params
    options, pretend = connection_options(params), module.check_mode
    owner, lifetime = params["owner"] or params["run_id"], params["expires_seconds"]
    if params["state"] == "released":
        return release_lease(options, owner, pretend=pretend)
    if params["state"] == "renewed":
        return renew_lease(options, owner, expires_seconds=lifetime, pretend=pretend)
    claim = Claim(owner, params["run_id"], operator(), socket.gethostname(), ansible_process())
    return take_lease(options, claim, expires_seconds=lifetime, pretend=pretend)


def result_of(done: LeaseResult) -> dict[str, Any]:
    """The module's result."""
    return {
        "changed": done.action in ("acquired", "taken_over", "released"),
        "action": done.action,
        "lease": done.lease.as_dict() if done.lease else None,
        "previous": done.previous,
    }


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            "state": {"type": "str", "choices": ["held", "renewed", "released"], "default": "held"},
            "owner": {"type": "str"},
            "run_id": {"type": "str"},
            "expires_seconds": {"type": "int", "default": 600},
        },
        required_one_of=[("owner", "run_id")],
    )
    run(module, lambda: result_of(have_state(module)))


if __name__ == "__main__":
    main()
