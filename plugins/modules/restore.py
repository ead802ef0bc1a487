#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: restore
short_description: Restore a backup in one transaction that commits only when it is exactly what was backed up
version_added: 0.1.0
description:
  - Brings the schemas of a project, the rows of the platform's tables and what belongs to the schemas but lives elsewhere
    (triggers on C(auth.users), policies on C(storage.objects), extensions, publications, grants, default privileges) back to
    what a backup of M(pgops.supabase.backup) holds.
  - All of it is one transaction. It commits only when every counted table and the fingerprint of the catalog equal the
    backup's manifest, and nothing in any other schema was changed. Otherwise the database is as it was before.
  - What is there now is backed up first, into O(aside), while the tables are locked against writing, so that it holds exactly
    what is replaced.
  - Writing to the restored tables waits from that moment on, reading from when the first table is replaced, until the end.
  - The platform's own schemas are left as they are. The ledger of this collection keeps what happened since; the restore and
    the migrations that it took back are appended to it.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.run
attributes:
  check_mode:
    support: partial
    details:
      - Checks all that can be checked beforehand, counts what would be lost and says which consent it takes.
      - Nothing is executed, because that would lock the tables as long as the restore itself.
  diff_mode:
    support: none
    details:
      - RV(restore.losses) says what is replaced.
  idempotent:
    support: none
    details:
      - Each run restores anew. The result is the same.
options:
  backup:
    description: Directory of the backup, with its C(manifest.json).
    type: path
    required: true
  project:
    description: Name of the project. A backup of another one is refused.
    type: str
    required: true
  consent:
    description:
      - Agreement to lose what was written since the backup, in words that name project and backup, C(<project> <backup id>).
      - For another database than was backed up (O(elsewhere)) that is not empty it names that one as well,
        C(<project> <backup id> into <database> on <host>:<port>). Into an empty one it is not needed.
      - Without it the module fails, says what would be lost and which words to give.
    type: str
  elsewhere:
    description: Whether the connection is meant to be another database than was backed up, which by default is refused.
    type: bool
    default: false
  disposable:
    description:
      - Whether the other database is there to be overwritten, as for a rehearsal. O(consent) is not needed then, and nothing is kept.
      - It is refused unless it was marked with the environment V(disposable) by M(pgops.supabase.project_marker).
    type: bool
    default: false
  aside:
    description:
      - Directory that becomes the backup of what is there now. By default C(backup) in O(run_dir).
    type: path
  tables:
    description:
      - Bring back only the rows of these tables, C(schema.table), and not into them but beside them, as C(pgops.restored_<table>)
        (C(pgops.restored_<schema>_<table>) outside V(public)). The API cannot reach that schema.
      - Nothing else is touched, so neither O(consent) nor O(aside) is needed. What is to become of the rows is said in SQL.
    type: list
    elements: str
  reason:
    description: Why; it stands in the ledger.
    type: str
  schemas:
    description:
      - The schemas that are the project's own. By default every schema that is neither PostgreSQL's nor the platform's.
      - One of them that came after the backup is dropped.
    type: list
    elements: str
  platform_data:
    description: Whether the rows of the platform's tables (C(auth.users), C(storage.objects) and the like) come back as well.
    type: bool
    default: true
  accept:
    description:
      - Objects of the catalog that may differ from the backup afterwards, as a failure names them, C(extension pg_net); C(*)
        stands for anything. What was accepted stands in RV(restore.tolerated).
    type: list
    elements: str
    default: []
  analyze:
    description: Whether the planner's statistics of the restored tables are made anew afterwards.
    type: bool
    default: true
  pg_bin:
    description:
      - Directory of PostgreSQL's programs.
      - By default E(PG_BIN), the installation that comes with the collection's requirements, then the newest installed.
    type: path
  identity_file:
    description: Private key of age that an encrypted backup is decrypted with, into a private place that is removed afterwards.
    type: path
  recipients:
    description: Public keys that the backup of what is there now (O(aside)) is encrypted to, as in M(pgops.supabase.backup).
    type: list
    elements: str
    default: []
  lock_timeout_seconds:
    description: How long a statement waits for a lock before it is tried again.
    type: float
    default: 5.0
  statement_timeout_seconds:
    description: How long a single statement, such as the loading of one table, may take. V(0) is no limit.
    type: float
    default: 0.0
  lock_wait_seconds:
    description: How long to wait for another apply, rollback or restore to end.
    type: float
    default: 10.0
  retries:
    description: How often the locking of the tables is tried again.
    type: int
    default: 3
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.backup
  - module: pgops.supabase.backup_info
  - module: pgops.supabase.rollback
"""

EXAMPLES = r"""
- name: Restore the backup of a run
  pgops.supabase.restore:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    project: my_app_prod
    backup: runs/my_app_prod/20261123T001457Z-2710/backup
    aside: aside/20261123
    consent: my_app_prod 20261123T001458Z-9f3c
    reason: Orders were overwritten by the migration

- name: Bring back what somebody deleted from one table, beside it
  pgops.supabase.restore:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    project: my_app_prod
    backup: runs/my_app_prod/20261123T001457Z-2710/backup
    tables: [public.orders]

- name: See in another, empty database what a backup holds
  pgops.supabase.restore:
    login_host: localhost
    login_password: "{{ lookup('ansible.builtin.env', 'SCRATCH_PASSWORD') }}"
    ssl_mode: prefer
    project: my_app_prod
    backup: runs/my_app_prod/20261123T001457Z-2710/backup
    aside: aside/scratch
    elsewhere: true
"""

RETURN = r"""
restored_rows:
  description: Where the rows are that were brought back.
  returned: with O(tables)
  type: dict
  contains:
    tables:
      description: For each table its schema, table, where its rows are now (into), and how many.
      type: list
      elements: dict
changed:
  description: Whether the restore was committed, or would be tried in check mode.
  returned: always
  type: bool
restore:
  description: What was done; also written to C(restore.json) in O(run_dir).
  returned: without O(tables), unless the backup cannot be read
  type: dict
  contains:
    committed:
      description: Whether it was committed.
      type: bool
    consent:
      description: The words that this restore takes, V(null) when the target is empty.
      type: str
    aside:
      description: Where what was replaced lies, an ordinary backup.
      type: str
    losses:
      description:
        - For each table that differs from the backup its rows there (in_backup) and now, those that were inserted or updated
          since (written_since) and those of the backup that are no longer as they were (gone_since).
      type: list
      elements: dict
    schemas_dropped:
      description: Schemas that came after the backup.
      type: list
      elements: str
    migrations_removed:
      description: Versions that are no longer applied, newest first.
      type: list
      elements: str
    migrations_returned:
      description: Versions that are applied again.
      type: list
      elements: str
    rows:
      description: The number of rows that were loaded.
      type: int
    counts:
      description: Each table's rows in the backup and now, with a verdict.
      type: dict
    catalog_expected:
      description: Fingerprint of the catalog in the backup.
      type: str
    catalog_found:
      description: Fingerprint of the catalog after the restore.
      type: str
    tolerated:
      description: Differences in what is the platform's, such as the version of an extension that was upgraded since.
      type: list
      elements: dict
    timings:
      description: Seconds of each step.
      type: dict
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

from ansible_collections.pgops.supabase.plugins.module_utils.archive.documents import BackupManifest
from ansible_collections.pgops.supabase.plugins.module_utils.backup.job import back_up
from ansible_collections.pgops.supabase.plugins.module_utils.backup.request import BackupRequest
from ansible_collections.pgops.supabase.plugins.module_utils.base.errors import (
    BackupError,
    InputError,
    RestoreError,
)
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    RUN_ARGUMENTS,
    connection_options,
    make_module,
    operator,
    optional_path,
    run,
    session_settings,
    with_document,
)
from ansible_collections.pgops.supabase.plugins.module_utils.postgres.connection import ConnectionOptions
from ansible_collections.pgops.supabase.plugins.module_utils.restore.job import MakeAside, RestoreRequest, restore
from ansible_collections.pgops.supabase.plugins.module_utils.restore.side_tables import RowsRequest, restore_rows


def bring_back(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    options = connection_options(params)
    if params["tables"]:
        return bring_back_rows(options, module)
    run_dir = optional_path(params["run_dir"])
    aside = optional_path(params["aside"]) or (run_dir / "backup" if run_dir else None)
    if aside is None:
        raise InputError(
            "It is not said where what is there now is to be kept",
            where="aside",
            next_step="Give aside, a directory that is not there yet, or run_dir.",
        )
    document_file = run_dir / "restore.json" if run_dir and not module.check_mode else None
    request = restore_request(options, module, aside, run_dir)
    result = with_document("restore", document_file, lambda: restore(options, request), RestoreError)
    return {"changed": True, "restore": result.as_dict()}


def restore_request(
    options: ConnectionOptions, module: AnsibleModule, aside: Path, run_dir: Path | None
) -> RestoreRequest:
    """What is asked for, as the engine takes it."""
    params = module.params
    return RestoreRequest(
        backup=Path(params["backup"]),
        project=params["project"],
        operator=operator(),
        settings=session_settings(params),
        make_aside=aside_with(options, params),
        aside=aside,
        consent=params["consent"],
        elsewhere=params["elsewhere"],
        disposable=params["disposable"],
        schemas=tuple(params["schemas"]) if params["schemas"] else None,
        platform_data=params["platform_data"],
        accept=tuple(params["accept"]),
        reason=params["reason"],
        run_id=params["run_id"],
        pg_bin=params["pg_bin"],
        identity_file=optional_path(params["identity_file"]),
        retries=params["retries"],
        lock_wait_seconds=params["lock_wait_seconds"],
        analyze=params["analyze"],
        events_dir=run_dir if params["run_id"] and not module.check_mode else None,
        dry_run=module.check_mode,
    )


def bring_back_rows(options: ConnectionOptions, module: AnsibleModule) -> dict[str, Any]:
    """The same for the rows of single tables."""
    params = module.params
    restored = restore_rows(
        options,
        RowsRequest(
            backup=Path(params["backup"]),
            project=params["project"],
            tables=params["tables"],
            settings=session_settings(params),
            elsewhere=params["elsewhere"],
            pg_bin=params["pg_bin"],
            identity_file=optional_path(params["identity_file"]),
            dry_run=module.check_mode,
        ),
    )
    return {"changed": True, "restored_rows": restored.as_dict()}


def aside_with(options: ConnectionOptions, params: dict[str, Any]) -> MakeAside:
    """How what is there now is kept: as an ordinary backup, which the next restore can bring back."""

    def make(path: Path, restored_id: str, schemas: tuple[str, ...]) -> BackupManifest:
        outcome = back_up(
            options,
            BackupRequest(
                path=path,
                project=params["project"],
                run_id=params["run_id"],
                before_restore_of=restored_id,
                schemas=schemas or None,
                pg_bin=params["pg_bin"],
                recipients=tuple(params["recipients"]),
                any_project=params["elsewhere"],
            ),
        )
        if outcome.manifest is None:
            raise BackupError("The backup of what is there now has no manifest", where=str(path))
        return outcome.manifest

    return make


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **RUN_ARGUMENTS,
            "backup": {"type": "path", "required": True},
            "project": {"type": "str", "required": True},
            "consent": {"type": "str"},
            "elsewhere": {"type": "bool", "default": False},
            "disposable": {"type": "bool", "default": False},
            "aside": {"type": "path"},
            "tables": {"type": "list", "elements": "str"},
            "reason": {"type": "str"},
            "schemas": {"type": "list", "elements": "str"},
            "platform_data": {"type": "bool", "default": True},
            "accept": {"type": "list", "elements": "str", "default": []},
            "analyze": {"type": "bool", "default": True},
            "pg_bin": {"type": "path"},
            "identity_file": {"type": "path"},
            "recipients": {"type": "list", "elements": "str", "default": []},
            "lock_timeout_seconds": {"type": "float", "default": 5.0},
            "statement_timeout_seconds": {"type": "float", "default": 0.0},
            "lock_wait_seconds": {"type": "float", "default": 10.0},
            "retries": {"type": "int", "default": 3},
        }
    )
    run(module, lambda: bring_back(module))


if __name__ == "__main__":
    main()
