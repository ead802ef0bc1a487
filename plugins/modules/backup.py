#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Back up a project in one verified archive
version_added: 0.1.0
description:
  - Writes one C(pg_dump) archive of the project's schemas, of the users and files of the platform (schemas C(auth) and
    C(storage)), of the migration history and of the ledger, and the roles without their passwords.
  - Every table is counted in the very snapshot that C(pg_dump) uses, so the counts in the manifest are those of the
    archive, whatever is written meanwhile.
  - The backup is made in a private directory beside O(path), read back whole by C(pg_restore), hashed, and only then
    renamed. A backup that fails leaves nothing behind and touches no other.
attributes:
  check_mode:
    support: full
    details:
      - Every precondition is checked on the real server and disk. A database that is missing is a failure.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - With O(max_age_seconds) a backup that is younger will do. Without it every run makes a new one.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.run
options:
  project:
    description: Name of the project, as the inventory calls it. It stands in the manifest.
    type: str
    required: true
  path:
    description:
      - Directory that becomes the backup. It must not exist; missing directories above it are made, for their owner only.
      - By default C(backup) in O(run_dir). One of the two is required.
    type: path
  schemas:
    description: The project's schemas. By default all that are the user's own.
    type: list
    elements: str
  platform_schemas:
    description: Schemas of the platform that are backed up as well, those that exist.
    type: list
    elements: str
    default: [auth, storage]
  format:
    description:
      - V(directory) is dumped by several connections at a time.
      - V(custom) is one file.
    type: str
    choices: [custom, directory]
    default: directory
  jobs:
    description:
      - Connections that count, connections that dump (with O(format=directory)), and programs that read the archive back.
      - Counting goes on beside the dump, so for a while there are twice as many connections, and one more.
    type: int
    default: 2
  compression:
    description:
      - V(auto) is the best that C(pg_dump) was built for, V(zstd:1), then V(lz4), then V(gzip:1).
      - Anything else is what its C(--compress) takes.
    type: str
    default: auto
  pg_bin:
    description:
      - Directory of PostgreSQL's programs. By default E(PG_BIN), then the collection's own, then the newest installed.
      - Their major version must not be below the server's.
    type: path
  lock_timeout_seconds:
    description: How long to wait for a table that is locked against reading.
    type: float
    default: 30.0
  space_factor:
    description: Free space that the disk must have, as a multiple of the size of the tables on the server.
    type: float
    default: 1.0
  max_age_seconds:
    description:
      - A sound backup of the same database and schemas that is younger than this will do, and nothing is changed.
      - It is looked for at O(path), and at C(backup) in the runs beside O(run_dir). V(0) is never.
    type: float
    default: 0.0
  verify:
    description:
      - V(read) reads the whole archive with C(pg_restore).
      - V(restore) restores it besides, with the code of M(pgops.supabase.restore), to a scratch server of the same major version that
        nobody else can reach, and compares every table's count and the catalog with the manifest. The server is removed on every exit.
    type: str
    choices: [read, restore]
    default: read
  scratch_pg_bin:
    description:
      - Directory of the programs that the scratch server is made of, with O(verify=restore). By default the installed ones of the
        server's major version, or else the next newer ones.
    type: path
  scratch_dir:
    description: Directory for the scratch server's data, which is as large as the database. By default the system's temporary one.
    type: path
  recipients:
    description:
      - Public keys that every file but the manifest is encrypted to, after it was verified, by the program C(age).
      - V(age1...) as C(age-keygen) makes them, or SSH public keys. None is not encrypted.
    type: list
    elements: str
    default: []
  retention_count:
    description:
      - How many verified backups of the project's runs stay, this one included. Older ones are removed when this one is verified.
      - The newest verified one stays whatever the limits say, and so does the one before the last change of the database, and
        those of runs that can still be taken back, also when a run made do with another run's (O(max_age_seconds)).
      - Only backups at C(backup) in the runs beside O(run_dir) are looked at. By default all stay.
    type: int
  retention_max_age_seconds:
    description: Age at which backups are removed when this one is verified, as with O(retention_count). By default none is too old.
    type: float
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.backup_info
"""

EXAMPLES = r"""
- name: Back up the project into the run's directory
  pgops.supabase.backup:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ project_db_password }}"
    ca_cert: prod-ca-2021.crt
    project: ready_set_prod
    run_id: "{{ run_id }}"
    run_dir: "{{ run_dir }}"

- name: Have a backup that is at most an hour old, in one file
  pgops.supabase.backup:
    login_host: 127.0.0.1
    login_password: "{{ project_db_password }}"
    ssl_mode: prefer
    project: ready_set_dev
    path: /var/backups/ready_set_dev/{{ now(utc=true).strftime('%Y%m%dT%H%M%SZ') }}/backup
    format: custom
    max_age_seconds: 3600

- name: Have a backup that was restored and found equal, readable by the two of us only, and keep ten
  pgops.supabase.backup:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ project_db_password }}"
    ca_cert: prod-ca-2021.crt
    project: ready_set_prod
    run_id: "{{ run_id }}"
    run_dir: "{{ run_dir }}"
    verify: restore
    recipients: [age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj, "{{ lookup('file', 'keys/oncall.pub') }}"]
    retention_count: 10
    retention_max_age_seconds: 2592000
"""

RETURN = r"""
path:
  description: Directory of the backup.
  returned: success
  type: str
  sample: ~/runs/ready_set_prod/20260114T090000Z/backup
summary:
  description: The backup in one sentence.
  returned: success
  type: str
  sample: 23.1 MB, 104,213 rows of 14 tables, read back whole
manifest:
  description:
    - What C(manifest.json) in the backup says; V(null) in check mode, unless a young backup was found.
  returned: success
  type: dict
  contains:
    backup_id:
      description: Identifier of the backup.
      type: str
    started_at:
      description: When the backup was begun, UTC.
      type: str
    server_version:
      description: Version of the server.
      type: str
    client_version:
      description: Version of C(pg_dump).
      type: str
    schemas:
      description: The schemas in the archive.
      type: list
      elements: str
    catalog_fingerprint:
      description: SHA-256 of the canonical catalog of the project's own schemas, in the dump's snapshot.
      type: str
    counts:
      description: Exact number of rows of every table in the archive, from the dump's snapshot.
      type: dict
    files:
      description: Every file with its size and SHA-256.
      type: list
      elements: dict
    total_bytes:
      description: Size of all files.
      type: int
    verification:
      description: How the backup was proven, by C(method) V(read) or V(restore).
      type: dict
    encryption:
      description: With what and to whom the files are encrypted, V(null) when they are not.
      type: dict
    timings:
      description: Seconds of each phase.
      type: dict
removed:
  description: The backups that retention removed, each with the reason.
  returned: success
  type: list
  elements: dict
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.archive.store import BACKUP_NAME
from ansible_collections.pgops.supabase.plugins.module_utils.backup.job import back_up
from ansible_collections.pgops.supabase.plugins.module_utils.backup.request import BackupRequest, ScratchPlace
from ansible_collections.pgops.supabase.plugins.module_utils.backup.retention import Retention
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    RUN_ARGUMENTS,
    connection_options,
    lock_timeout_milliseconds,
    make_module,
    optional_path,
    run,
)


def make(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    request = BackupRequest(
        path=Path(params["path"] or Path(params["run_dir"]) / BACKUP_NAME).absolute(),
        project=params["project"],
        run_id=params["run_id"],
        schemas=tuple(params["schemas"]) if params["schemas"] is not None else None,
        platform_schemas=tuple(params["platform_schemas"]),
        format=params["format"],
        jobs=params["jobs"],
        compression=params["compression"],
        pg_bin=params["pg_bin"],
        lock_timeout_ms=lock_timeout_milliseconds(params["lock_timeout_seconds"]),
        space_factor=params["space_factor"],
        max_age_seconds=params["max_age_seconds"],
        verify=params["verify"],
        scratch=ScratchPlace(
            pg_bin=optional_path(params["scratch_pg_bin"]), directory=optional_path(params["scratch_dir"])
        ),
        recipients=tuple(params["recipients"]),
        retention=Retention(count=params["retention_count"], max_age_seconds=params["retention_max_age_seconds"]),
        events_dir=optional_path(params["run_dir"]) if params["run_id"] else None,
    )
    outcome = back_up(connection_options(params), request, check_only=module.check_mode)
    return {
        "changed": outcome.changed,
        "path": str(outcome.path),
        "msg": outcome.summary,
        "summary": outcome.summary,
        "removed": [asdict(backup) for backup in outcome.removed],
        "manifest": outcome.manifest.as_dict() if outcome.manifest else None,
    }


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **RUN_ARGUMENTS,
            "project": {"type": "str", "required": True},
            "path": {"type": "path"},
            "schemas": {"type": "list", "elements": "str"},
            "platform_schemas": {"type": "list", "elements": "str", "default": ["auth", "storage"]},
            "format": {"type": "str", "choices": ["custom", "directory"], "default": "directory"},
            "jobs": {"type": "int", "default": 2},
            "compression": {"type": "str", "default": "auto"},
            "pg_bin": {"type": "path"},
            "lock_timeout_seconds": {"type": "float", "default": 30.0},
            "space_factor": {"type": "float", "default": 1.0},
            "max_age_seconds": {"type": "float", "default": 0.0},
            "verify": {"type": "str", "choices": ["read", "restore"], "default": "read"},
            "scratch_pg_bin": {"type": "path"},
            "scratch_dir": {"type": "path"},
            "recipients": {"type": "list", "elements": "str", "default": []},
            "retention_count": {"type": "int"},
            "retention_max_age_seconds": {"type": "float"},
        },
        required_one_of=[("path", "run_dir")],
    )
    run(module, lambda: make(module))


if __name__ == "__main__":
    main()
