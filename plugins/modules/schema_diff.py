#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: schema_diff
short_description: Say what leads from one schema to another
version_added: 0.1.0
description:
  - Compares two schemas object by object. Each is this connection's live schema, a schema that was kept in a file, or that of
    another connection.
  - The changes are what it would take to go from O(before) to O(after). V(created) is in O(after) only, V(dropped) is in
    O(before) only.
  - Changes nothing, the sessions are read-only.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Shows a line for each object that differs.
  idempotent:
    support: full
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.timeouts
options:
  before:
    description:
      - The schema to go from.
      - V(live) is the one of this connection, V(file) the one in O(file), V(other) the one of O(other).
    type: str
    choices: [live, file, other]
    required: true
  after:
    description: The schema to go to, not the same as O(before).
    type: str
    choices: [live, file, other]
    default: live
  file:
    description:
      - A schema that M(pgops.supabase.schema_info) kept, or the C(catalog-before.json) of a run.
      - Required when O(before) or O(after) is V(file).
    type: path
  other:
    description:
      - Another connection, with the same options as this one, for example the C(project_connection) of another host.
      - Required when O(before) or O(after) is V(other).
    type: dict
    suboptions:
      login_host:
        description: Host of the other database.
        type: str
        required: true
      login_port:
        description: Port of the other database.
        type: int
        default: 5432
      login_user:
        description: Role to log in as.
        type: str
        default: postgres
      login_password:
        description: Password of the role.
        type: str
      login_db:
        description: Name of the other database.
        type: str
        default: postgres
      ssl_mode:
        description: How far the connection is encrypted and the server's certificate checked, as libpq's C(sslmode).
        type: str
        choices: [disable, allow, prefer, require, verify-ca, verify-full]
        default: verify-full
      ca_cert:
        description: File with the certificate of the authority that signed the server's.
        type: path
      ssl_cert:
        description: File with the client's certificate.
        type: path
      ssl_key:
        description: File with the client's key.
        type: path
      connect_params:
        description: Any other connection parameters of libpq by their key words.
        type: dict
        default: {}
      session_role:
        description: Role to become after the login, as with SET ROLE.
        type: str
  schemas:
    description:
      - The schemas to compare. By default every schema that is the user's own, and all that is in O(file).
    type: list
    elements: str
  ignore:
    description:
      - Patterns, with V(*), V(?) and V([...]), of what may differ.
      - A pattern is compared with the key of an object, type and name, as V(table public.scratch_*) or
        V(policy * on storage.objects). A relation takes its columns along.
      - It is compared with the attributes of objects too, as V(comment on *) or V(privileges on function public.*).
    type: list
    elements: str
    default: []
  fail_on_difference:
    description: Whether to fail when the schemas differ.
    type: bool
    default: false
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.schema_info
"""

EXAMPLES = r"""
- name: Require that nobody has changed production's schema since it was kept
  pgops.supabase.schema_diff:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    before: file
    file: schemas/ready_set_prod.json
    after: live
    fail_on_difference: true

- name: See what it would take to bring production's schema to that of dev, comments aside
  pgops.supabase.schema_diff:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    before: live
    after: other
    other:
      login_host: db.tsrqponmlkjihgfedcba.supabase.co
      login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DEV_DB_PASSWORD') }}"
      ca_cert: prod-ca-2021.crt
    ignore:
      - comment on *
  register: divergence

- name: Show the objects
  ansible.builtin.debug:
    var: divergence.schema_diff.changes
"""

RETURN = r"""
changed:
  description: Always V(false).
  returned: always
  type: bool
schema_diff:
  description: The comparison; also returned when it is the reason to fail.
  returned: when compared
  type: dict
  contains:
    before:
      description: Where the schema to go from is, its server's version, its fingerprint and its number of objects.
      type: dict
    after:
      description: The same of the schema to go to.
      type: dict
    equal:
      description: Whether nothing differs but what O(ignore) names.
      type: bool
    changes:
      description: Each object that differs, with its C(change), C(object_type), C(object_name) and a C(detail).
      type: list
      elements: dict
      sample:
        - change: created
          object_type: column
          object_name: public.profiles.nickname
          detail: ""
    counts:
      description: The number of objects that were C(created), C(changed) and C(dropped), by type.
      type: dict
      sample:
        column:
          created: 1
          changed: 0
          dropped: 0
    ignored:
      description: Number of objects and attributes of both schemas that O(ignore) left out.
      type: int
    notes:
      description: What to bear in mind, as different major versions, or a pattern that matches nothing.
      type: list
      elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.snapshot import Source, compare_sources
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    TIMEOUT_ARGUMENTS,
    catalog_diff,
    connection_options,
    make_module,
    read_only_settings,
    run,
)

SIDES = ["live", "file", "other"]


def source(params: dict[str, Any], side: str) -> Source:
    """Where the parameters say that one side is."""
    if side == "file":
        return Path(params["file"])
    return connection_options(params if side == "live" else params["other"])


def compare(module: AnsibleModule) -> dict[str, Any]:
    """Compare as the parameters say."""
    params = module.params
    diff = compare_sources(
        source(params, params["before"]),
        source(params, params["after"]),
        settings=read_only_settings(params),
        schemas=params["schemas"],
        ignore=params["ignore"],
        fail_on_difference=params["fail_on_difference"],
    )
    result: dict[str, Any] = {"changed": False, "schema_diff": diff.as_dict()}
    if module._diff:
        result["diff"] = catalog_diff(diff.changes)
    return result


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **TIMEOUT_ARGUMENTS,
            "before": {"type": "str", "choices": SIDES, "required": True},
            "after": {"type": "str", "choices": SIDES, "default": "live"},
            "file": {"type": "path"},
            "other": {"type": "dict", "options": CONNECTION_ARGUMENTS},
            "schemas": {"type": "list", "elements": "str"},
            "ignore": {"type": "list", "elements": "str", "default": []},
            "fail_on_difference": {"type": "bool", "default": False},
        },
        required_if=[
            ("before", "file", ["file"]),
            ("after", "file", ["file"]),
            ("before", "other", ["other"]),
            ("after", "other", ["other"]),
        ],
    )
    if module.params["before"] == module.params["after"]:
        module.fail_json(msg=f"before and after are both {module.params['before']}: there is nothing to compare.")
    run(module, lambda: compare(module))


if __name__ == "__main__":
    main()
