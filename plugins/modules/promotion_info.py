#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: promotion_info
short_description: Show what the project that is promoted from has proven of each migration file
version_added: 0.1.0
description:
  - Connects to the project that migrations are promoted from, usually development, and looks into its ledger.
  - A file may go on when the very same file, by its hash, is applied there and was verified there.
  - Reads only, and does not fail by what it finds.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.migrations
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  versions:
    description: The versions that are to be applied on the next project.
    type: list
    elements: str
    required: true
  origin:
    description: Name of the project that is looked at, for the messages.
    type: str
    required: true
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.migration
"""

EXAMPLES = r"""
- name: Let nothing reach production that development has not proven
  pgops.supabase.promotion_info:
    login_host: db.aaaaaaaaaaaaaaaaaaaa.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'DEV_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    supabase_dir: supabase
    versions: ["20251014220000", "20251014220100"]
    origin: my_app_dev
  register: promotion

- name: Stop where something is not proven
  ansible.builtin.assert:
    that: promotion.proofs | rejectattr('problem', 'none') | length == 0
"""

RETURN = r"""
changed:
  description: Always V(false).
  returned: always
  type: bool
proofs:
  description: What is proven of each version. O(pgops.supabase.migration#module:promotion) takes it.
  returned: success
  type: list
  elements: dict
  contains:
    version:
      description: The version.
      type: str
    sha256:
      description: Hash of the file here.
      type: str
    catalog_change:
      description: Hash of the catalog change that it made there.
      type: str
    together:
      description:
        - Where more than 50 files were one transaction there, and are asked for together, their versions, with the last of them.
        - RV(proofs[].catalog_change) is then the change that all of them made together.
      type: list
      elements: str
    problem:
      description: Why it may not go on, V(null) when it may.
      type: str
"""

import dataclasses
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.migrations.status import promotion_info
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    MIGRATIONS_ARGUMENTS,
    SQL_LIBRARIES,
    connection_options,
    make_module,
    run,
)


def look(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    proofs = promotion_info(
        connection_options(params),
        Path(params["supabase_dir"]),
        versions=params["versions"],
        origin=params["origin"],
    )
    return {"changed": False, "proofs": [dataclasses.asdict(proof) for proof in proofs]}


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **MIGRATIONS_ARGUMENTS,
            "versions": {"type": "list", "elements": "str", "required": True},
            "origin": {"type": "str", "required": True},
        },
        libraries=SQL_LIBRARIES,
    )
    run(module, lambda: look(module))


if __name__ == "__main__":
    main()
