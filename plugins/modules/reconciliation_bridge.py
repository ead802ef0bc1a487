#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: reconciliation_bridge
short_description: Draft and prove the migration that brings one project's schema to another's
version_added: 0.1.0
description:
  - Drafts migrations that lead from this project's schema to that of another project, or to one that was kept in a file, and
    their rollbacks. Both projects are only read.
  - The statements stand in the order of their dependencies and in forms that fit tables in use. Foreign keys and checks are
    added NOT VALID and validated in a file of their own, and so is NOT NULL. Indexes of existing tables are made CONCURRENTLY
    in a file of their own, constraints use them. Values of enums that later statements use have a file of their own.
  - What loses data is commented out, with the reason and the exact number of rows. That is to drop a table, a column, a
    sequence or an extension, to convert a type to one that cannot hold every value, and to take values from an enum. No rows
    are moved.
  - The draft is proven by running it on copies of this project's schema, on a scratch server of the same major version. As it
    is drafted, nothing may be left but what is commented out. In full, nothing may be left at all, neither for the catalog nor
    for C(pg_dump --schema-only). Its rollbacks have to lead back.
  - The files stay in the run's directory. Whoever has read them copies them into the application's repository.
attributes:
  check_mode:
    support: full
    details:
      - Everything is drafted and proven as always; no file is written.
  diff_mode:
    support: none
  idempotent:
    support: N/A
    details:
      - Each run drafts anew, with the present time as version.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.timeouts
options:
  source:
    description:
      - The connection of the project to bring this one to, with the same options as this one, for example the
        C(project_connection) of another host.
      - One of O(source) and O(catalog) is required.
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
  catalog:
    description:
      - A schema that M(pgops.supabase.schema_info) kept, to bring this project to.
      - With it pg_dump is compared for the way back only.
    type: path
  direction:
    description:
      - V(to_source) brings this project to O(source) or O(catalog).
      - V(to_target) brings O(source) to this project.
    type: str
    choices: [to_source, to_target]
    default: to_source
  name:
    description: Name of the migrations, without version. Small letters, digits and underscores.
    type: str
    default: bridge
  run_dir:
    description: The directory of the run. The files are written to C(bridge/) in it, and C(bridge/bridge.json) with the proof.
    type: path
    required: true
  schemas:
    description: The schemas to bridge. By default every schema that is the user's own in either project.
    type: list
    elements: str
  pg_bin:
    description:
      - Directory of PostgreSQL's programs, for pg_dump and for the scratch server. By default they are looked for.
    type: path
  scratch_dir:
    description: Directory for the scratch server, the system's temporary one by default.
    type: path
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.schema_diff
  - module: pgops.supabase.schema_info
"""

EXAMPLES = r"""
- name: Draft what brings production to development
  pgops.supabase.reconciliation_bridge:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    source:
      login_host: db.tsrqponmlkjihgfedcba.supabase.co
      login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DEV_DB_PASSWORD') }}"
      ca_cert: prod-ca-2021.crt
    name: follow_development
    run_dir: .pgops/prod/reconcile
  register: bridged

- name: Show the verdict, and how to take the files over
  ansible.builtin.debug:
    var: bridged.msg

- name: Draft what leads back to a schema that was kept
  pgops.supabase.reconciliation_bridge:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    catalog: schemas/ready_set_prod.json
    run_dir: .pgops/prod/reconcile
"""

RETURN = r"""
changed:
  description: Whether files were written, or would be in check mode. V(false) where nothing differs.
  returned: success
  type: bool
msg:
  description: The verdict in words, and where the files are.
  returned: success
  type: str
bridge:
  description: What was drafted and proven. C(bridge.json) holds all of it, with the statements that are commented out.
  returned: success
  type: dict
  contains:
    verdict:
      description:
        - V(proven) when the draft was run and leaves what it should, everywhere.
        - V(partly) when it was run, and something is left that it names.
        - V(not proven) when it was not run, or leaves something else.
      type: str
    reasons:
      description: Why the verdict is not V(proven).
      type: list
      elements: str
    copy:
      description: The command that copies the files into the application's repository. Empty where there is none.
      type: str
    document:
      description: Path of C(bridge.json).
      type: str
    files:
      description:
        - The migrations in order, each with C(path), C(rollback), its number of C(statements) and of C(commented) ones, and
          whether it is C(outside_transaction).
      type: list
      elements: dict
    destroying:
      description: Each object whose statements are commented out, with the C(reason) and the number of C(rows).
      type: list
      elements: dict
    not_covered:
      description: Each object that is left to a person, with the C(reason).
      type: list
      elements: dict
    notes:
      description: What to bear in mind.
      type: list
      elements: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.catalog.snapshot import Source
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    SQL_LIBRARIES,
    TIMEOUT_ARGUMENTS,
    connection_options,
    make_module,
    optional_path,
    read_only_settings,
    run,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import ConnectionOptions
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.bridge import (
    DOCUMENT,
    BridgeOptions,
    make_bridge,
    told,
)
from ansible_collections.pgops.supabase.plugins.module_utils.reconcile.bridge_files import copying


def ends(params: dict[str, Any]) -> tuple[ConnectionOptions, Source]:
    """The project that is changed, and what it is brought to."""
    this = connection_options(params)
    if params["catalog"]:
        return this, Path(params["catalog"])
    other = connection_options(params["source"])
    return (this, other) if params["direction"] == "to_source" else (other, this)


def bridge(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    target, source = ends(params)
    directory = Path(params["run_dir"]) / "bridge"
    made = make_bridge(
        BridgeOptions(
            target=target,
            source=source,
            name=params["name"],
            directory=directory,
            settings=read_only_settings(params),
            schemas=params["schemas"],
            pg_bin=optional_path(params["pg_bin"]),
            scratch_dir=optional_path(params["scratch_dir"]),
            dry_run=module.check_mode,
        )
    )
    facts = {
        name: value
        for name, value in made.as_dict().items()
        if name in ("verdict", "reasons", "files", "not_covered", "notes")
    }
    facts["destroying"] = [{"object_name": d.object_name, "reason": d.reason, "rows": d.rows} for d in made.destroying]
    facts["copy"] = copying(made.files)
    facts["document"] = None if module.check_mode else str(directory / DOCUMENT)
    return {"changed": bool(made.files), "msg": told(made), "bridge": facts}


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **TIMEOUT_ARGUMENTS,
            "source": {"type": "dict", "options": CONNECTION_ARGUMENTS},
            "catalog": {"type": "path"},
            "direction": {"type": "str", "choices": ["to_source", "to_target"], "default": "to_source"},
            "name": {"type": "str", "default": "bridge"},
            "run_dir": {"type": "path", "required": True},
            "schemas": {"type": "list", "elements": "str"},
            "pg_bin": {"type": "path"},
            "scratch_dir": {"type": "path"},
        },
        libraries=SQL_LIBRARIES,
        required_one_of=[("source", "catalog")],
        mutually_exclusive=[("source", "catalog")],
    )
    if module.params["catalog"] and module.params["direction"] == "to_target":
        module.fail_json(
            msg="direction is to_target and catalog is a file: a file cannot be brought to anything. Give source."
        )
    run(module, lambda: bridge(module))


if __name__ == "__main__":
    main()
