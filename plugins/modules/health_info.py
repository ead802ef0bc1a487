#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: health_info
short_description: Show how a project's database is, by what it tells of itself
version_added: 0.1.0
description:
  - Connections against their limit, open transactions, waits for locks, what the database counts (commits, rollbacks, cache hits,
    temporary files, deadlocks, WAL), dead tuples, sizes and an estimate of bloat, replication, indexes and constraints that are not
    valid, the statements that take most time, indexes that nothing reads and indexes that say the same.
  - It needs no superuser. What the role cannot see is said in RV(health.not_seen).
  - Reads only, and does not fail by what it finds. No row, and no value in a statement, is in the result.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.connection
  - pgops.supabase.metrics
  - pgops.supabase.run
attributes:
  check_mode:
    support: full
    details:
      - Looks as always; only the document in O(run_dir) is not written.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  schemas:
    description: Schemas whose indexes are looked at. By default all that are the user's own.
    type: list
    elements: str
  baseline:
    description: An earlier RV(health), or the path of its C(health.json), that statements are held against.
    type: raw
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.monitor
"""

EXAMPLES = r"""
- name: Look at the database
  pgops.supabase.health_info:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    metrics:
      - name: audits in the last hour
        query: select count(*) as audits from public.user_audits where "createdAt" > now() - interval '1 hour'
        expect: "[0].audits >= `1`"
  register: found

- name: Show the indexes that nothing reads
  ansible.builtin.debug:
    msg: "{{ found.health.unused_indexes | map(attribute='name') }}"
"""

RETURN = r"""
changed:
  description: Always V(false).
  returned: always
  type: bool
health_file:
  description: Path of the document in O(run_dir). Empty in check mode, and where there is no O(run_dir).
  returned: success
  type: str
health:
  description: What was found, as in C(health.json).
  returned: success
  type: dict
  contains:
    database:
      description: Name of the database.
      type: str
    server_version:
      description: The server's version.
      type: str
    role:
      description: Who looked.
      type: str
    in_recovery:
      description: Whether the server is a standby.
      type: bool
    sample:
      description:
        - What changes from minute to minute. C(connections) by state, C(connections_used) of C(connections_limit),
          C(longest_transaction_seconds), C(idle_in_transaction), C(lock_waits), C(longest_lock_wait_seconds), C(counters), C(invalid),
          C(tables), C(tables_total), C(dead_tuples_total), C(size_bytes_estimate), C(replicas), C(metrics).
        - C(database_seconds) is how long the database took for it.
      type: dict
    statements:
      description:
        - The statements that took most time in all, by pg_stat_statements, each with C(queryid), C(statement), C(calls), C(total_seconds),
          C(mean_seconds), C(max_seconds), C(rows), C(temporary_blocks). V(null) where they are not counted.
      type: list
      elements: dict
    slower_statements:
      description: Those that are at least twice as slow as in O(baseline), with C(baseline_mean_seconds).
      type: list
      elements: dict
    unused_indexes:
      description: Indexes that nothing has read since the statistics were reset, each with C(name), C(table), C(bytes), C(scans).
      type: list
      elements: dict
    duplicate_indexes:
      description: Indexes that say the same as those in C(same_as); C(bytes) is what all but the first of them take.
      type: list
      elements: dict
    not_seen:
      description: What the role cannot see or the server does not count, in sentences.
      type: list
      elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.health.arguments import METRICS_ARGUMENTS
from ansible_collections.pgops.supabase.plugins.module_utils.health.job import DOCUMENT_NAME, health
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    BASELINE_ARGUMENTS,
    CONNECTION_ARGUMENTS,
    RUN_ARGUMENTS,
    connection_options,
    make_module,
    optional_path,
    run,
)


def look(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    run_dir = None if module.check_mode else optional_path(params["run_dir"])
    report = health(
        connection_options(params),
        metrics=params["metrics"],
        schemas=params["schemas"],
        baseline=params["baseline"],
        run_dir=run_dir,
    )
    sample = report.sample
    return {
        "changed": False,
        "msg": f"{sample.connections_used} of {sample.connections_limit} connections, {sample.tables_total} tables, "
        f"looked at in {sample.database_seconds * 1000:.0f} ms",
        "health": report.as_dict(),
        "health_file": str(run_dir / DOCUMENT_NAME) if run_dir else None,
    }


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **RUN_ARGUMENTS,
            **BASELINE_ARGUMENTS,
            **METRICS_ARGUMENTS,
            "schemas": {"type": "list", "elements": "str"},
        },
        libraries=("psycopg2", "pglast", "jmespath"),
    )
    run(module, lambda: look(module))


if __name__ == "__main__":
    main()
