#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: migration_adopt
short_description: Take what the Supabase CLI applied into the ledger, where the files are what was applied
version_added: 0.1.0
description:
  - Compares each row of Supabase's history that is not in the ledger with its file. Where the recorded statements equal the
    file's own, the ledger gets an event V(adopted) with the file's SHA-256. From then on an edited file is found by its hash,
    as where this collection applied it.
  - It is all or nothing. When one file differs, is missing or cannot be compared, nothing is adopted and each is named, with
    the place and the difference.
  - Runs no migration and leaves the history as it is. What is pending stays pending.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.migrations
  - pgops.supabase.migrations.locking
  - pgops.supabase.timeouts
  - pgops.supabase.run
attributes:
  check_mode:
    support: full
    details:
      - Compares everything and writes nothing.
  diff_mode:
    support: full
    details:
      - Shows each event that is added to the ledger.
  idempotent:
    support: full
options:
  trust_files:
    description:
      - Versions whose file cannot be compared with what was applied, each with the reason why it is taken for that. It is for
        rows that were recorded without their statements, and for files in which only comments or space between the statements
        changed since. A file with other statements than those applied is refused all the same.
      - The reasons stand in the ledger. A file that was not compared is no proof for a project that promotes from this one.
    type: dict
    default: {}
  verified:
    description:
      - Whether the validations have just passed on this project. What is adopted, and what was adopted earlier, then counts as
        verified, so that it may be promoted (see M(pgops.supabase.promotion_info)). The role C(adopt) runs them.
    type: bool
    default: false
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.migration_info
  - module: pgops.supabase.promotion_info
"""

EXAMPLES = r"""
- name: Go on where the Supabase CLI stopped
  pgops.supabase.migration_adopt:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    supabase_dir: supabase

- name: The same, where an old CLI recorded a version without its statements
  pgops.supabase.migration_adopt:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    supabase_dir: supabase
    trust_files:
      "20230102090000": compared with the schema by hand on the day it was made
"""

RETURN = r"""
changed:
  description: Whether anything was recorded, or would have been in check mode.
  returned: always
  type: bool
adoption:
  description: What was found and recorded; also written to C(adoption.json) in O(run_dir).
  returned: always, unless nothing could be read
  type: dict
  contains:
    migrations:
      description:
        - Each row of the history with its file, SHA-256 and verdict, V(adopted), V(known) or V(refused). RV(ignore:compared)
          is V(identical), V(line_ends) when only those differ, V(statements) when comments or space around them do.
      type: list
      elements: dict
    verified:
      description: The versions that are recorded as verified.
      type: list
      elements: str
    catalog:
      description: Fingerprint of the catalog at that time.
      type: str
    committed:
      description: Whether anything was committed.
      type: bool
error:
  description: What happened, where, the state the database is in now, and what to type next.
  returned: failure
  type: dict
  contains:
    outcome:
      description:
        - That state for programs, V(unchanged), V(committed), V(partial) (some of it is committed) or V(unknown) (somebody has
          to look).
      type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.apply.adopt import AdoptOptions, adopt
from ansible_collections.pgops.supabase.plugins.module_utils.apply.documents import Adoption
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    LOCK_ARGUMENTS,
    MIGRATIONS_ARGUMENTS,
    RUN_ARGUMENTS,
    SQL_LIBRARIES,
    TIMEOUT_ARGUMENTS,
    connection_options,
    make_module,
    operator,
    optional_path,
    run,
    session_settings,
)


def take_over(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    run_dir = optional_path(params["run_dir"])
    adoption = adopt(
        connection_options(params),
        AdoptOptions(
            supabase_dir=Path(params["supabase_dir"]),
            operator=operator(),
            settings=session_settings(params),
            run_id=params["run_id"],
            trust_files={str(version): str(reason or "") for version, reason in params["trust_files"].items()},
            verified=params["verified"],
            schemas=params["schemas"],
            retries=params["retries"],
            lock_wait_seconds=params["lock_wait_seconds"],
            document_file=run_dir / "adoption.json" if run_dir else None,
            dry_run=module.check_mode,
        ),
    )
    lines = _added_events(adoption)
    outcome = {"changed": bool(lines), "adoption": adoption.as_dict()}
    return {**outcome, "diff": {"prepared": "".join(f"{line}\n" for line in lines)}} if module._diff else outcome


def _added_events(adoption: Adoption) -> list[str]:
    """A line for each event that the ledger gets."""
    adopted = [entry for entry in adoption.migrations if entry.verdict == "adopted"]
    names = {entry.version: entry.name for entry in adoption.migrations}
    lines = [f"+ adopted {e.version}_{e.name}  sha256 {str(e.sha256)[:16]}, {e.compared or 'trusted'}" for e in adopted]
    return lines + [f"+ verified {version}_{names[version]}" for version in adoption.verified]


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **MIGRATIONS_ARGUMENTS,
            **TIMEOUT_ARGUMENTS,
            **LOCK_ARGUMENTS,
            **RUN_ARGUMENTS,
            "trust_files": {"type": "dict", "default": {}},
            "verified": {"type": "bool", "default": False},
        },
        libraries=SQL_LIBRARIES,
    )
    run(module, lambda: take_over(module))


if __name__ == "__main__":
    main()
