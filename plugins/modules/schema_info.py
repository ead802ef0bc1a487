#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: schema_info
short_description: Take the fingerprint of a project's schema, and keep the schema in a file
version_added: 0.1.0
description:
  - Reads every object of the schemas in one read-only snapshot. These are schemas, tables and columns, types, sequences,
    constraints, indexes, views, functions with their bodies, triggers, rules, policies, extended statistics, publications,
    extensions, event triggers and default privileges, each with its owner, privileges and comment.
  - Triggers and policies that are on the platform's tables, as C(auth.users) and C(storage.objects), are part of it.
  - The fingerprint is equal for equal schemas, whatever order the objects were made in. It does not depend on rows, on where
    sequences stand, or on who reads. Servers of different major versions may write the same definition differently.
attributes:
  check_mode:
    support: full
    details:
      - Reads as always; only O(dest) is not written.
  diff_mode:
    support: full
    details:
      - Shows the objects that differ from what O(dest) held.
  idempotent:
    support: full
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.timeouts
options:
  schemas:
    description: The schemas to read. By default every schema that is the user's own.
    type: list
    elements: str
  dest:
    description:
      - File to keep the schema in, for M(pgops.supabase.schema_diff). Only its owner can read it.
      - It is canonical JSON, its SHA-256 is the fingerprint.
      - A file that holds anything but a schema is not overwritten.
    type: path
  include_catalog:
    description: Whether to return the schema itself. It can be large.
    type: bool
    default: false
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.schema_diff
"""

EXAMPLES = r"""
- name: Keep the schema of production as it is
  pgops.supabase.schema_info:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    dest: schemas/ready_set_prod.json
  register: found

- name: Show its fingerprint
  ansible.builtin.debug:
    var: found.schema_info.fingerprint
"""

RETURN = r"""
changed:
  description: Whether O(dest) was written, or would be in check mode. Always V(false) without O(dest).
  returned: always
  type: bool
schema_info:
  description: The schema in figures.
  returned: success
  type: dict
  contains:
    database:
      description: Name of the database.
      type: str
    server_version:
      description: Version of the server.
      type: str
    taken_at:
      description: When it was read, UTC.
      type: str
    schemas:
      description: The schemas that were read.
      type: list
      elements: str
    fingerprint:
      description: SHA-256 of the schema as canonical JSON.
      type: str
    objects:
      description: Number of objects of each type.
      type: dict
      sample:
        column: 42
        table: 7
    total:
      description: Number of all objects.
      type: int
catalog:
  description: Each object by its key, type and name, with its definition.
  returned: with O(include_catalog)
  type: dict
  sample:
    schema public:
      owner: pg_database_owner
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.snapshot import describe, keep, read_live
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    TIMEOUT_ARGUMENTS,
    catalog_diff,
    connection_options,
    make_module,
    optional_path,
    read_only_settings,
    run,
)


def look(module: AnsibleModule) -> dict[str, Any]:
    """Read, and keep what was read, as the parameters say."""
    params = module.params
    live = read_live(connection_options(params), read_only_settings(params), params["schemas"])
    result: dict[str, Any] = {"changed": False, "schema_info": describe(live).as_dict()}
    dest = optional_path(params["dest"])
    if dest is not None:
        kept = keep(live.catalog, dest, dry_run=module.check_mode)
        result["changed"] = kept.changed
        if module._diff and kept.changed:
            result["diff"] = catalog_diff(kept.changes)
    if params["include_catalog"]:
        result["catalog"] = live.catalog
    return result


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **TIMEOUT_ARGUMENTS,
            "schemas": {"type": "list", "elements": "str"},
            "dest": {"type": "path"},
            "include_catalog": {"type": "bool", "default": False},
        }
    )
    run(module, lambda: look(module))


if __name__ == "__main__":
    main()
