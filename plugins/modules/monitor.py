#!/usr/bin/python
# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: monitor
short_description: Watch a project after a migration, against the baseline from before
version_added: 0.1.0
description:
  - Takes a sample every O(interval_seconds), for O(duration_seconds). It asks the database how it is and the application's endpoints
    that only read, and holds both against the baseline and O(thresholds).
  - The baseline of the endpoints is C(probes-before.json) in O(run_dir), and C(probes-after.json) of those that were not asked before;
    of everything else it is the first sample. Statements are known from before, because pg_stat_statements counts since its reset.
  - >-
    What is worse in as many samples in a row as C(confirm_samples) says begins an episode: people are told once, event V(alert).
    When it has been well for as many, they are told once more, event V(recovered). A database that cannot be reached is such an
    episode; what depends on it is then no other.
  - After each sample everything is written down, so a watch that was ended or killed goes on when it is started again, with the same
    baseline and episodes, to the same end. Ctrl-C and SIGTERM end it; what was seen so far is kept.
  - It changes nothing in the database, and needs no superuser. No row and no value in a statement is in what it writes.
extends_documentation_fragment:
  - pgops.supabase.attributes
  - pgops.supabase.channels
  - pgops.supabase.connection
  - pgops.supabase.metrics
  - pgops.supabase.probes
attributes:
  check_mode:
    support: full
    details:
      - Takes one sample and judges it. Nothing is written, and nobody is told.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - Each call takes samples.
options:
  project:
    description: Name of the project, for messages and documents.
    type: str
    required: true
  run_dir:
    description:
      - Directory of the migration's run. C(monitor.json), C(monitor.jsonl) and C(monitor.html) go there. It may be any directory,
        which has no baseline then.
    type: path
    required: true
  once:
    description: Take one sample and return, for a timer. Such a watch has no end.
    type: bool
    default: false
  duration_seconds:
    description: How long to watch.
    type: float
    default: 86400
  interval_seconds:
    description: Seconds from one sample to the next.
    type: float
    default: 300
  thresholds:
    description: What is worse than it has to be.
    type: dict
    default: {}
    suboptions:
      api_factor:
        description: An endpoint's 95th percentile has to be below this much of the baseline's.
        type: float
        default: 1.1
      api_floor_seconds:
        description: It may be so much slower all the same, because a factor of a few milliseconds is noise.
        type: float
        default: 0.05
      connections_share:
        description: Share of the connections that there may be.
        type: float
        default: 0.8
      error_share:
        description:
          - Share of the transactions since the last sample that were rolled back; the limit is never below twice the share from before.
        type: float
        default: 0.05
      error_count:
        description: How many of them have to be rolled back before the share counts.
        type: int
        default: 20
      longest_transaction_seconds:
        description: Age of the oldest transaction on the database.
        type: float
        default: 300
      lock_wait_seconds:
        description: How long a session may wait for a lock.
        type: float
        default: 30
      confirm_samples:
        description: Samples in a row that have to say the same before somebody is told.
        type: int
        default: 2
  textfile:
    description:
      - File for the textfile collector of Prometheus' node exporter, such as C(/var/lib/node_exporter/pgops_prod.prom). It is replaced
        as a whole at each sample.
    type: path
requirements:
  - jmespath
  - pygal, for the plots
author:
  - pgops.supabase contributors (@pgops)
seealso:
  - module: pgops.supabase.health_info
  - module: pgops.supabase.http_probe
  - module: pgops.supabase.notification
"""

EXAMPLES = r"""
- name: Watch for 24 hours
  pgops.supabase.monitor:
    login_host: db.abcdefghijklmnopqrst.supabase.co
    login_password: "{{ lookup('ansible.builtin.env', 'SUPABASE_DB_PASSWORD') }}"
    ca_cert: prod-ca-2021.crt
    project: shop_prod
    run_dir: runs/shop_prod/20261124T150615Z-3f58
    probes: "{{ project_probes }}"
    channels: "{{ project_channels }}"
    metrics:
      - name: audits in the last hour
        query: select count(*) as audits from public.user_audits where "createdAt" > now() - interval '1 hour'
        expect: "[0].audits >= `1`"
  register: watch

- name: Stop where something is still worse than before
  ansible.builtin.assert:
    that: watch.alerts_open == 0
"""

RETURN = r"""
changed:
  description: Always V(false), because nothing is changed in the project.
  returned: always
  type: bool
state:
  description: V(finished), V(stopped) where it was ended before its time, or V(timer) after one sample.
  returned: success
  type: str
samples:
  description: How many samples there are by now.
  returned: success
  type: int
alerts:
  description: All episodes, each with C(key), C(message), C(since), C(until).
  returned: success
  type: list
  elements: dict
alerts_open:
  description: How many of them are not over.
  returned: success
  type: int
record_file:
  description: Path of C(monitor.json).
  returned: success
  type: str
page_file:
  description: Path of C(monitor.html).
  returned: success
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.pgops.supabase.plugins.module_utils.health.arguments import METRICS_ARGUMENTS
from ansible_collections.pgops.supabase.plugins.module_utils.health.metrics import read_metrics
from ansible_collections.pgops.supabase.plugins.module_utils.module import (
    CONNECTION_ARGUMENTS,
    ArgumentSpec,
    connection_options,
    make_module,
    optional_path,
    run,
)
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.documents import Thresholds
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.job import PAGE_FILE, RECORD_FILE, Watch, monitor
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.judgement import open_episodes
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.sampling import Watched
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.telling import People
from ansible_collections.pgops.supabase.plugins.module_utils.notify.arguments import CHANNELS_ARGUMENTS, channel_of
from ansible_collections.pgops.supabase.plugins.module_utils.probes.arguments import PROBES_ARGUMENTS, api_of

_THRESHOLDS: ArgumentSpec = {
    "api_factor": {"type": "float", "default": 1.1},
    "api_floor_seconds": {"type": "float", "default": 0.05},
    "connections_share": {"type": "float", "default": 0.8},
    "error_share": {"type": "float", "default": 0.05},
    "error_count": {"type": "int", "default": 20},
    "longest_transaction_seconds": {"type": "float", "default": 300.0},
    "lock_wait_seconds": {"type": "float", "default": 30.0},
    "confirm_samples": {"type": "int", "default": 2},
}


def watch(module: AnsibleModule) -> dict[str, Any]:
    """The module's one call into the engine."""
    params = module.params
    directory = Path(params["run_dir"])
    done = monitor(
        Watch(
            project=params["project"],
            run_dir=directory,
            watched=Watched(
                options=connection_options(params),
                probes=params["probes"],
                api=api_of(params),
                metrics=read_metrics(params["metrics"]),
            ),
            duration_seconds=params["duration_seconds"],
            interval_seconds=params["interval_seconds"],
            once=params["once"],
            thresholds=Thresholds(**params["thresholds"]),
            people=People(
                channels=[channel_of(channel) for channel in params["channels"]],
                contacts=params["contacts"],
                templates=optional_path(params["templates"]),
            ),
            textfile=optional_path(params["textfile"]),
        ),
        pretend=module.check_mode,
    )
    for problem in done.problems:
        module.warn(problem)
    record = done.record
    still_open = open_episodes(record)
    return {
        "changed": False,
        "msg": f"{record.samples} samples, {len(record.episodes)} alerts, {len(still_open)} of them open",
        "state": record.state,
        "samples": record.samples,
        "alerts": [
            {"key": one.key, "message": one.message, "since": one.since, "until": one.until} for one in record.episodes
        ],
        "alerts_open": len(still_open),
        "record_file": str(directory / RECORD_FILE),
        "page_file": str(directory / PAGE_FILE),
    }


def main() -> None:
    """Run as an Ansible module."""
    module = make_module(
        {
            **CONNECTION_ARGUMENTS,
            **METRICS_ARGUMENTS,
            **PROBES_ARGUMENTS,
            **CHANNELS_ARGUMENTS,
            "project": {"type": "str", "required": True},
            "run_dir": {"type": "path", "required": True},
            "once": {"type": "bool", "default": False},
            "duration_seconds": {"type": "float", "default": 86_400.0},
            "interval_seconds": {"type": "float", "default": 300.0},
            "thresholds": {"type": "dict", "default": {}, "options": _THRESHOLDS, "apply_defaults": True},
            "textfile": {"type": "path"},
        },
        libraries=("psycopg2", "pglast", "jmespath"),
    )
    run(module, lambda: watch(module))


if __name__ == "__main__":
    main()
