# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sample as a text file for the textfile collector of Prometheus' node exporter. Pure.

Source: Prometheus, "Exposition formats": metric names, HELP and TYPE lines, and which characters of a label's value are escaped.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ansible_collections.pgops.supabase.plugins.module_utils.monitor.documents import MonitorRecord, MonitorSample
from ansible_collections.pgops.supabase.plugins.module_utils.monitor.judgement import open_episodes

_HELP = {
    "pgops_monitor_up": "Whether the database could be asked.",
    "pgops_monitor_sample_timestamp_seconds": "When it was asked last.",
    "pgops_monitor_alerts_open": "Things that are worse than they have to be.",
    "pgops_monitor_alert": "Whether one thing is worse than it has to be.",
    "pgops_monitor_connections": "Client sessions of the server by state.",
    "pgops_monitor_connections_limit": "Client sessions that there may be.",
    "pgops_monitor_longest_transaction_seconds": "Age of the oldest transaction on the database.",
    "pgops_monitor_lock_waits": "Sessions that wait for a lock.",
    "pgops_monitor_dead_tuples": "Dead tuples of the largest tables.",
    "pgops_monitor_size_bytes_estimate": "Size of the database as of the last VACUUM or ANALYZE.",
    "pgops_monitor_invalid_objects": "Indexes and constraints that are not valid.",
    "pgops_monitor_transactions_committed_total": "Transactions committed since the statistics were reset.",
    "pgops_monitor_transactions_rolled_back_total": "Transactions rolled back since the statistics were reset.",
    "pgops_monitor_blocks_hit_total": "Blocks found in the cache since the statistics were reset.",
    "pgops_monitor_blocks_read_total": "Blocks read since the statistics were reset.",
    "pgops_monitor_deadlocks_total": "Deadlocks since the statistics were reset.",
    "pgops_monitor_temporary_bytes_total": "Bytes of temporary files since the statistics were reset.",
    "pgops_monitor_wal_bytes_total": "Bytes of WAL of the server.",
    "pgops_monitor_replica_lag_bytes": "WAL that a standby has not replayed, or that a slot keeps.",
    "pgops_monitor_table_bytes": "Size of a large table with its indexes.",
    "pgops_monitor_probe_p95_seconds": "95th percentile of an endpoint's latency.",
    "pgops_monitor_probe_up": "Whether an endpoint answers as it has to.",
    "pgops_monitor_metric": "Number of a metric of the user's own.",
}
_Figure = tuple[str, dict[str, str], float]


def exposition(record: MonitorRecord, sample: MonitorSample) -> str:
    """The whole file."""
    figures = list(_figures(record, sample))
    lines = []
    for name, described in _HELP.items():
        # One of a series: two standbys may have one name.
        own = {
            _labels({"project": record.project, **labels}): value for found, labels, value in figures if found == name
        }
        if own:
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# HELP {name} {described}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{labels} {value:.17g}" for labels, value in own.items()]
    return "\n".join(lines) + "\n"


def _figures(record: MonitorRecord, sample: MonitorSample) -> Iterator[_Figure]:
    yield "pgops_monitor_up", {}, float(sample.health is not None)
    yield "pgops_monitor_sample_timestamp_seconds", {}, datetime.fromisoformat(sample.at).timestamp()
    still_open = {one.key for one in open_episodes(record)}
    yield "pgops_monitor_alerts_open", {}, float(len(still_open))
    for finding in sample.findings:
        yield "pgops_monitor_alert", {"watched": finding.key}, float(finding.key in still_open)
    for probe in sample.probes:
        yield "pgops_monitor_probe_up", {"probe": probe.name}, float(probe.verdict == "PASS")
        if probe.p95_seconds is not None:
            yield "pgops_monitor_probe_p95_seconds", {"probe": probe.name}, probe.p95_seconds
    yield from _of_database(sample)


def _of_database(sample: MonitorSample) -> Iterator[_Figure]:
    health = sample.health
    if health is None:
        return
    for state, number in health.connections.items():
        yield "pgops_monitor_connections", {"state": state}, float(number)
    counters = health.counters
    plain = {
        "connections_limit": health.connections_limit,
        "longest_transaction_seconds": health.longest_transaction_seconds,
        "lock_waits": health.lock_waits,
        "dead_tuples": health.dead_tuples_total,
        "size_bytes_estimate": health.size_bytes_estimate,
        "invalid_objects": len(health.invalid),
        "transactions_committed_total": counters.committed,
        "transactions_rolled_back_total": counters.rolled_back,
        "blocks_hit_total": counters.blocks_hit,
        "blocks_read_total": counters.blocks_read,
        "deadlocks_total": counters.deadlocks,
        "temporary_bytes_total": counters.temporary_bytes,
        "wal_bytes_total": counters.wal_bytes,
    }
    for name, value in plain.items():
        if value is not None:
            yield f"pgops_monitor_{name}", {}, float(value)
    for replica in health.replicas:
        if replica.lag_bytes is not None:
            yield "pgops_monitor_replica_lag_bytes", {"replica": replica.name}, float(replica.lag_bytes)
    for table in health.tables:
        yield "pgops_monitor_table_bytes", {"table": table.name}, float(table.total_bytes)
    for metric in health.metrics:
        if metric.value is not None:
            yield "pgops_monitor_metric", {"metric": metric.name}, metric.value


def _labels(labels: dict[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items()) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
